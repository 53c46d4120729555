//! What every handler works with.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::Stepper;
use cloakroom_engine::ports::Clock;

use crate::rings::Rings;

/// What is kept of an invocation's time to answer in.
const ANSWER_IN: Duration = Duration::from_secs(1);

/// The engine, and where its bells go. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// The engine.
    pub stepper: Stepper,
    /// Where bells go.
    pub rings: Rings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The ledger's table: what metrics are told apart by.
    pub table: String,
    /// Where metrics go, a line at a time.
    pub tell: Arc<Tell>,
}

/// Takes lines for the log of a function: CloudWatch makes metrics of them.
pub type Tell = dyn Fn(&str) + Send + Sync;

/// To standard output, where Lambda picks it up.
pub(crate) fn to_stdout(line: &str) {
    use std::io::Write as _;
    // At once, so that no line of the log comes in between.
    let line = format!("{line}\n");
    if let Err(error) = std::io::stdout().lock().write_all(line.as_bytes()) {
        tracing::error!(%error, "metrics could not be written");
    }
}

impl Host {
    /// When the work of an invocation that is ended at `ends` must be done. Without an end there is all the time.
    pub(crate) fn deadline(&self, ends: Option<Timestamp>) -> Option<Timestamp> {
        ends.map(|ends| ends.before(ANSWER_IN))
    }

    /// Whether the deadline has come.
    pub(crate) fn is_over(&self, deadline: Option<Timestamp>) -> bool {
        deadline.is_some_and(|deadline| self.clock.now() >= deadline)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}
