//! In-memory adapters: the ports' contracts in their plainest form. Nothing survives the process.
//!
//! Every test of a worker runs on these, and every other adapter is held to the same conformance suite as they are.

mod claims;
mod ledger;
mod uploads;

pub use claims::MemoryClaims;
pub use ledger::MemoryLedger;
pub use uploads::MemoryUploads;
