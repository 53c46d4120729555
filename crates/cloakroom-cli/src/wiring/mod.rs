//! From a configuration to a running server.
//!
//! `cloakroom serve` and `cloakroom demo` start servers here, and so do integration tests and benchmarks:
//! [`load`] a configuration, [`bind`] an address, [`Server::start`], [`Server::run`].

mod aws;
mod server;
mod sinks;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cloakroom_core::config::{Config, Diagnostic, Diagnostics, Overrides};
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::text::Mistake;
use cloakroom_engine::catalog::{BuildError, Resolve};
use cloakroom_http::configured;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use aws::{AwsError, AwsOptions};
pub(crate) use cloakroom_http::configured::{middle, plain};
pub use cloakroom_local::{LineSink, LineSinkError};
pub use server::{Server, ServerError};

use crate::exit::{Exit, Failure, Problem};

/// What to do about a secret in AWS.
const NO_AWS_HERE: &str = "use `env:NAME` or `file:PATH`";

/// Where the configuration is looked for.
pub const CONFIG_FILE: &str = "cloakroom.yaml";

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file has mistakes.
    #[error("{}: {mistakes}", file.display())]
    Mistakes {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        mistakes: Diagnostics,
    },
    /// It reads well but refers to what is not there.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Build(Vec<BuildError>),
}

impl ConfigError {
    /// What is wrong, each with its remedy.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Mistakes { file, mistakes } => {
                mistakes.iter().map(|found| problem(file, found)).collect()
            }
            Self::Build(errors) => errors.iter().map(build_problem).collect(),
        }
    }
}

/// A finding as compilers show theirs: `file:line:column: key: what`.
pub(crate) fn problem(file: &Path, found: &Diagnostic) -> Problem {
    let file = file.display();
    let path = match found.path.as_str() {
        "" => String::new(),
        path => format!("{path}: "),
    };
    let place = match found.line {
        0 => file.to_string(),
        line => format!("{file}:{line}:{}", found.column),
    };
    Problem {
        message: format!("{place}: {path}{}", found.message),
        hint: found.hint.clone(),
    }
}

fn build_problem(error: &BuildError) -> Problem {
    let text = error.to_string();
    let (message, hint) = text.rsplit_once("; ").unwrap_or((&text, ""));
    let hint = match error {
        BuildError::Secret {
            reference: SecretRef::AwsSecret(_),
            ..
        } => NO_AWS_HERE,
        _ => hint,
    };
    Problem {
        message: message.to_owned(),
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// Reads a configuration file.
pub(crate) fn read_config(file: &Path) -> Result<String, Failure> {
    if file.to_str().is_some_and(|file| file.starts_with("s3://")) {
        let message = format!(
            "cannot read the configuration {}: it is in S3",
            file.display()
        );
        let hint = "run `cloakroom serve --backend aws`, or name a file";
        return Err(Failure::new(Exit::Config, message).hint(hint));
    }
    std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read the configuration {}: {}", file.display(), plain(&error));
        let failure = Failure::new(Exit::Config, message);
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint(
                "name another file, or begin with one line: `sources: { demo: {} }`; `cloakroom config explain` tells all keys",
            ),
            _ => failure,
        }
    })
}

/// Reads and checks a configuration file, with what the command line says in place of it.
///
/// # Errors
/// When it cannot be read, or every mistake in it.
pub fn load(file: &Path, overrides: &Overrides) -> Result<Config, Failure> {
    parse(file, &read_config(file)?, overrides)
}

/// [`load`] for a server on AWS, whose configuration may also be an object: `s3://bucket/key`.
///
/// # Errors
/// As [`load`].
pub async fn load_on_aws(place: &Path, overrides: &Overrides) -> Result<Config, Failure> {
    match aws::read_config(place).await? {
        Some(text) => parse(place, &text, overrides),
        None => load(place, overrides),
    }
}

fn parse(file: &Path, text: &str, overrides: &Overrides) -> Result<Config, Failure> {
    Config::parse_with(text, overrides).map_err(|mistakes| {
        ConfigError::Mistakes {
            file: file.to_owned(),
            mistakes,
        }
        .into()
    })
}

/// Reads the secret that a reference leads to, from the environment or a file.
///
/// # Errors
/// Says why it cannot be read, as a lower-case fragment.
pub fn resolve(reference: &SecretRef) -> Result<Secret, String> {
    configured::secret(reference, |_| {
        Err("the embedded form reads no secrets from AWS".to_owned())
    })
}

/// A reference to a secret as a flag. Taken as any text: what is wrong with it must be told without showing it, because
/// it may be the secret itself.
#[derive(Clone)]
pub(crate) struct SecretFlag(String);

impl From<String> for SecretFlag {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretFlag(…)")
    }
}

impl SecretFlag {
    /// Reads the secret that `--secret` refers to.
    pub(crate) fn read(&self) -> Result<Secret, Failure> {
        let mistake = |text: &str| Failure::from_text(Exit::Usage, &format!("--secret: {text}"));
        let reference = self
            .0
            .parse()
            .map_err(|error: Mistake| mistake(&error.to_string()))?;
        secret(&reference)
    }
}

/// [`resolve`] for what the command line leads to.
pub(crate) fn secret(reference: &SecretRef) -> Result<Secret, Failure> {
    resolve(reference).map_err(|reason| {
        let message = format!("cannot read the secret `{reference}`: {reason}");
        let failure = Failure::new(Exit::Config, message);
        match reference {
            SecretRef::Env(name) => failure.hint(format!("set the environment variable `{name}`")),
            SecretRef::File(_) => failure,
            SecretRef::AwsSecret(_) => failure.hint(NO_AWS_HERE),
        }
    })
}

/// Listens on an address.
///
/// # Errors
/// When it is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::new(
            Exit::Unusable,
            format!("cannot listen on {address}: {}", plain(&error)),
        );
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                failure.hint("stop what listens there, or choose another port")
            }
            io::ErrorKind::PermissionDenied => failure.hint("choose a port above 1023"),
            io::ErrorKind::AddrNotAvailable => {
                failure.hint("choose an address of this machine, or 0.0.0.0 for all of them")
            }
            _ => failure,
        }
    })
}

/// The signals that tell the process to stop: Ctrl-C and `SIGTERM`. Listens from the moment it is made.
pub(crate) struct Signals {
    interrupt: io::Result<Signal>,
    terminate: io::Result<Signal>,
}

impl Signals {
    /// Begins to listen. Must be called within a Tokio runtime.
    pub(crate) fn new() -> Self {
        Self {
            interrupt: signal(SignalKind::interrupt()),
            terminate: signal(SignalKind::terminate()),
        }
    }

    /// Returns at the next signal.
    pub(crate) async fn next(&mut self) {
        match (&mut self.interrupt, &mut self.terminate) {
            (Ok(interrupt), Ok(terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Signals that nobody listens to keep their usual effect, which is to end the process.
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_ends_before_its_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = SecretRef::File(file.path().to_owned());
        assert_eq!(resolve(&reference).unwrap_err(), "it is empty");
        std::fs::write(file.path(), "hunter2 \r\n").unwrap();
        assert_eq!(resolve(&reference).unwrap().expose(), b"hunter2 ");
    }

    #[test]
    fn a_reference_to_nothing_says_why() {
        let missing = SecretRef::Env("CLOAKROOM_TEST_SURELY_NOT_SET".to_owned());
        assert_eq!(resolve(&missing).unwrap_err(), "it is not set");
        let missing = SecretRef::File("/nonexistent/secret".into());
        assert_eq!(resolve(&missing).unwrap_err(), "no such file or directory");
        let aws = SecretRef::AwsSecret("x".to_owned());
        assert!(resolve(&aws).unwrap_err().contains("embedded form"));
    }
}
