//! The embedded form's adapters: a durable ledger and a directory of claims, together in one data directory.
//!
//! ```text
//! <data dir>/
//!   format              the version of this layout
//!   lock                locked while a process uses the directory; holds its pid
//!   run.json            when the last run began, and whether it ended cleanly
//!   url.key             32 random bytes that sign claim URLs (mode 0600)
//!   ledger/             the records (a SQLite file with a write-ahead log)
//!   claims/segments/    small payloads, packed
//!   claims/objects/     large payloads, a file each
//!   claims/staging/     uploads under way; emptied at every start
//! ```
//!
//! [`DataDir::open`] gives a [`LocalStore`] with both adapters; [`doctor()`] examines a directory that nobody uses.
//! [`LineSink`] is the sink that writes events as lines to a file or to standard output.

mod claims;
mod data_dir;
mod disk;
mod doctor;
mod key;
mod ledger;
mod lines;
mod value;

pub use claims::{LocalClaims, SMALL_MAX_BYTES};
pub use data_dir::{DataDir, LastRun, LocalStore, OpenError, Options, UrlKey};
pub use doctor::{Depth, DoctorError, Finding, Progress, Report, Severity, Step, Totals, doctor};
pub use ledger::LocalLedger;
pub use lines::{LineSink, LineSinkError};
