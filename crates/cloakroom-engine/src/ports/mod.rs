//! The ports: what the engine asks of the world. Each is a contract that every adapter keeps.

mod claims;
mod clock;
mod ledger;
mod sink;
mod uploads;

pub use claims::{ClaimError, ClaimHint, ClaimStore, PayloadStream, Reclaimed, References, Upload};
pub use clock::{Clock, Entropy};
pub use ledger::{
    Conflict, Index, Ledger, LedgerError, Page, TRANSACTION_MAX, TransactError, Write,
};
pub use sink::{Elsewhere, Outcome, Outgoing, Sink};
pub use uploads::{Announced, Offer, Staged, UploadError, Uploads};
