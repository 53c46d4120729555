//! Carries the log over into the file, on a thread of its own: that syncs the file, which may take long, and the writer goes
//! on meanwhile. What it writes in that time it carries over itself; then the log begins anew.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use cloakroom_engine::ports::LedgerError;
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::schema;

pub(super) struct Carrier {
    /// `None` once it is to end.
    orders: Option<Sender<()>>,
    reports: Receiver<rusqlite::Result<()>>,
    is_under_way: bool,
    thread: Option<JoinHandle<()>>,
}

impl Carrier {
    pub(super) fn start(folder: &Path) -> Result<Self, LedgerError> {
        let db = schema::open_carrier(folder)?;
        let (orders, ordered) = channel();
        let (report, reports) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger-carrier".to_owned())
            .spawn(move || {
                while let Ok(()) = ordered.recv() {
                    // Nobody is left to be told when the writer has ended.
                    let _ = report.send(carry_over(&db, CheckpointMode::PASSIVE));
                }
            })
            .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(Self {
            orders: Some(orders),
            reports,
            is_under_way: false,
            thread: Some(thread),
        })
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Has what is in the log by now carried over. `false` when there is nobody to do it.
    pub(super) fn begin(&mut self) -> bool {
        let orders = self.orders.as_ref();
        self.is_under_way = orders.is_some_and(|orders| orders.send(()).is_ok());
        self.is_under_way
    }

    /// How it went, once what was begun has ended; waits for that if told so.
    pub(super) fn ended(&mut self, wait: bool) -> Option<rusqlite::Result<()>> {
        let report = match wait {
            true => self.reports.recv().ok(),
            false => self.reports.try_recv().ok(),
        };
        self.is_under_way &= report.is_none() && !wait;
        report
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that carries the ledger's log over ended in a panic");
        }
    }
}

/// Carries the log over into the file. What a reader still needs of it stays for the next time.
pub(super) fn carry_over(db: &Connection, mode: CheckpointMode) -> rusqlite::Result<()> {
    db.wal_checkpoint_v2(None::<&str>, mode).map(drop)
}
