//! What is measured, a file per scenario.

pub(crate) mod cold_start;
pub(crate) mod cpu;
pub(crate) mod floor;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod large;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod reversed;

mod run;
