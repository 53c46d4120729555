//! MiniStack: most of what Cloakroom uses of AWS, in one process.

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::process::{Launch, Process, answers_http, free_port};
use crate::venv::Venv;
use crate::{EmulatorError, at};

const REQUIREMENT: &str = "ministack[full]==1.5.33";

/// How often a start is tried: another process may take the port between choosing it and listening.
const TRIES: u32 = 3;

/// A running MiniStack with nothing in it. It ends when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct MiniStack {
    port: u16,
    process: Process,
}

impl MiniStack {
    /// The Region it plays.
    pub const REGION: &str = "us-east-1";

    /// Installs it if need be, starts it on a free port, and waits until it answers.
    pub fn start() -> Result<Self, EmulatorError> {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with more variables in its environment.
    pub fn start_with(env: &[(&str, &str)]) -> Result<Self, EmulatorError> {
        let venv = Venv::with("ministack", REQUIREMENT)?;
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            match Self::start_once(&venv, env) {
                Err(EmulatorError::Start { .. }) if tries_left > 0 => {}
                result => return result,
            }
        }
    }

    /// The one that all tests of this process share: each uses tables, buckets and queues of its own. It is started by
    /// whoever asks first, and ends with the process.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs it has then failed.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MiniStack> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Where it listens, as `AWS_ENDPOINT_URL` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its working directory, with its log in `log.txt`.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    fn start_once(venv: &Venv, env: &[(&str, &str)]) -> Result<Self, EmulatorError> {
        let folder = TempDir::new().map_err(at(std::env::temp_dir()))?;
        let port = free_port()?;
        let own = folder.path().as_os_str().to_owned();
        // It writes this file once it has found the port free, so nobody else's server is taken for ours.
        let pid_file = folder.path().join(format!("ministack-{port}.pid"));
        let mut variables: Vec<(OsString, OsString)> = [
            ("BIND_HOST", "127.0.0.1"),
            ("MINISTACK_HOST", "127.0.0.1"),
            ("MINISTACK_REGION", Self::REGION),
            ("AWS_DEFAULT_REGION", Self::REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("LOG_LEVEL", "WARNING"),
            ("PERSIST_STATE", "0"),
        ]
        .iter()
        .chain(env)
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
        variables.push(("GATEWAY_PORT".into(), port.to_string().into()));
        for name in ["TMPDIR", "STATE_DIR", "S3_DATA_DIR"] {
            variables.push((name.into(), own.clone()));
        }
        let launch = Launch {
            name: "MiniStack",
            python: venv.python(),
            command: vec![venv.python().into(), "-m".into(), "ministack".into()],
            env: variables,
            folder,
        };
        let answers = || pid_file.exists() && answers_http(port, "/_ministack/health");
        let process = Process::start(launch, answers)?;
        Ok(Self { port, process })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_until_it_is_dropped() {
        let stack = MiniStack::start().unwrap_or_else(|error| panic!("{error}"));
        let port = stack.port();
        assert_eq!(stack.endpoint(), format!("http://127.0.0.1:{port}"));
        assert!(answers_http(port, "/_ministack/health"));
        drop(stack);
        assert!(!answers_http(port, "/_ministack/health"));
    }

    #[test]
    fn a_panic_ends_it_too() {
        let panicked = std::panic::catch_unwind(|| {
            let stack = MiniStack::start().unwrap_or_else(|error| panic!("{error}"));
            std::panic::panic_any(stack.port());
        });
        let port = *panicked.unwrap_err().downcast::<u16>().unwrap();
        assert!(!answers_http(port, "/_ministack/health"));
    }
}
