//! The `cloakroom` command: its wiring, and what it does for people at a terminal.
//!
//! | part | what |
//! | --- | --- |
//! | [`wiring`] | from a configuration to a running server; integration tests and benchmarks start servers with it too |
//! | `cli`, `commands` | the command tree, a file per command |
//! | [`exit`] | exit codes, and errors with remedies |
//! | `output`, `client`, `receiver` | printing; the operators' HTTP client; reading and checking deliveries |

mod cli;
mod client;
mod commands;
pub mod exit;
mod logging;
mod output;
mod receiver;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    cli.color.write_global();
    match cli::execute(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report();
            failure.exit.into()
        }
    }
}
