//! What is measured, a file per scenario.

pub(crate) mod backlog;
pub(crate) mod cold_start;
pub(crate) mod compare;
pub(crate) mod cpu;
pub(crate) mod floor;
pub(crate) mod gaps;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod large;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod reversed;
pub(crate) mod soak;

mod run;
