//! What every adapter must keep, as a suite that runs against any of them.
//!
//! An adapter's tests call [`ledger()`] and [`claims()`] with a way to make an empty store. A broken promise panics with
//! the sentence of the contract that it breaks. The suites use nothing but the ports, and need a multi-threaded runtime.

mod claims;
mod ledger;
pub mod samples;

pub use claims::claims;
pub use ledger::ledger;

#[cfg(test)]
mod tests {
    use crate::memory::{MemoryClaims, MemoryLedger};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_memory_ledger_keeps_the_contract() {
        super::ledger(async || MemoryLedger::new()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_memory_claims_keep_the_contract() {
        super::claims(async || MemoryClaims::new()).await;
    }
}
