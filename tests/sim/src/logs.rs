//! What the engine logs, searched for what must not be there.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::check::{Breach, Kind};
use crate::provider::{PAYLOAD_MARK, secret_texts};

/// All lines, of every level.
#[derive(Debug, Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// Takes every line of this thread, until the guard is dropped.
    pub fn capture(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// Lines with a payload or a secret in them.
    pub fn leaks(&self) -> Vec<Breach> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let secrets: Vec<&str> = secret_texts().chain([PAYLOAD_MARK]).collect();
        let leaks = |line: &&str| secrets.iter().any(|secret| line.contains(secret));
        let lines = text.lines().filter(leaks).take(1);
        lines
            .map(|line| Breach::new(Kind::Leak, format!("it logged {line:?}")))
            .collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logs {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
