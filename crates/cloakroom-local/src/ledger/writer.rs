//! The one thread that writes: it takes whatever transactions are waiting, carries out those whose conditions hold in one
//! transaction of the database, commits it with one sync, and only then answers, refusals included.
//!
//! After an error of the disk nobody knows what is on it (the kernel may have dropped the pages of a failed sync), so
//! everything after it is refused until the ledger is opened again, which reads the truth from the log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cloakroom_engine::ports::{ClaimError, LedgerError, TRANSACTION_MAX, TransactError, Write};
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::carrier::{Carrier, carry_over};
use super::group::{Group, Halt};
use super::read::Store;
use super::request::{Action, Answer, Prepared, Request};
use super::schema::{self, failed};
use super::tables;
use crate::claims::{Flush, Mark};
use crate::data_dir::Options;
use crate::disk;

/// A group ends here, so that its first transaction does not wait for ever.
const GROUP_MAX: usize = 512;

/// The log is carried over into the file when it has this many pages: 16 MB …
const LOG_PAGES: i32 = if cfg!(test) { 40 } else { 4_000 };
/// … and when it has this many meanwhile, the writer waits for that.
pub(super) const LOG_PAGES_MAX: i32 = 4 * LOG_PAGES;

pub(super) struct Writer {
    flush: Option<Flush>,
    /// `None` once closed.
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        store: Arc<Store>,
        flush: Option<Flush>,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, LedgerError> {
        super::log::check(folder)?;
        let mut db = schema::open_writer(folder)?;
        for kind in tables::kinds(&db).map_err(|error| failed(&error))? {
            store.recent.note_kind(kind);
        }
        let log_pages = Arc::new(AtomicI32::new(0));
        let noted = Arc::clone(&log_pages);
        // In place of the checkpoint that a commit would run by itself: ours runs when the callers have their answers.
        db.wal_hook(Some(move |_: &mut Wal, pages| {
            noted.store(pages, Ordering::Relaxed);
            Ok(())
        }))
        .map_err(|error| failed(&error))?;
        let (requests, waiting) = channel();
        let committer = Committer {
            db,
            store,
            flush: flush.clone(),
            log_pages,
            carrier: Carrier::start(folder)?,
            folder: folder.to_owned(),
            reserve_bytes: options.reserve_bytes,
            broken: None,
            #[cfg(test)]
            gate: options.gate.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || committer.run(&waiting))
            .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(Self {
            flush,
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        debug_assert!(
            writes.len() <= TRANSACTION_MAX,
            "a transaction holds at most {TRANSACTION_MAX} writes"
        );
        let writes = writes.into_iter().map(Prepared::new).collect();
        let payloads = self.flush.as_ref().map(Flush::mark).unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        let closed = || LedgerError::Unavailable("it is shutting down".to_owned());
        {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let requests = requests.as_ref().ok_or_else(closed)?;
            let request = Request {
                writes,
                payloads,
                answer,
            };
            requests.send(request).map_err(|_| closed())?;
        }
        answered.await.map_err(|_| closed())?
    }

    pub(super) fn close(&self) {
        let requests = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(requests);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the ledger's writer ended in a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Committer {
    db: Connection,
    store: Arc<Store>,
    /// Makes payloads durable.
    flush: Option<Flush>,
    /// How many pages the log had after the last commit.
    log_pages: Arc<AtomicI32>,
    carrier: Carrier,
    folder: PathBuf,
    reserve_bytes: u64,
    /// Why nothing is written any more.
    broken: Option<String>,
    #[cfg(test)]
    gate: Option<super::tests::Gate>,
}

/// Why a group was not committed.
enum Failure {
    Database(rusqlite::Error),
    /// The payloads that its entries name are not durable.
    Claims(ClaimError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

type Answers = Vec<(Answer, Result<(), TransactError>)>;

impl Committer {
    fn run(mut self, waiting: &Receiver<Request>) {
        while let Ok(first) = waiting.recv() {
            if let Some(reason) = &self.broken {
                let refused = LedgerError::Unavailable(reason.clone());
                // Here and below: a caller that no longer listens has its transaction done, or not done, all the same.
                let _ = first.answer.send(Err(refused.into()));
                continue;
            }
            let mut answers = Answers::new();
            match self.commit(first, waiting, &mut answers) {
                Ok(()) => {
                    for (answer, outcome) in answers {
                        let _ = answer.send(outcome);
                    }
                    self.tend_log();
                }
                Err(error) => self.fail(&error, answers),
            }
        }
        if self.carrier.is_under_way()
            && let Some(outcome) = self.carrier.ended(true)
        {
            self.carried(outcome);
        }
        if self.broken.is_none() {
            // Readers stay; those not reading now need not be in the way.
            self.store.disconnect();
            self.carry_over(CheckpointMode::TRUNCATE);
        }
    }

    /// Commits the first transaction together with those that wait behind it.
    fn commit(
        &self,
        first: Request,
        waiting: &Receiver<Request>,
        answers: &mut Answers,
    ) -> Result<(), Failure> {
        let is_full = self.is_full();
        let mut group = Group::new(&self.db, &self.store);
        let mut next = Some(first);
        let mut named = Mark::default();
        while let Some(request) = next.take() {
            let Request {
                writes,
                payloads,
                answer,
            } = request;
            answers.push((answer, Ok(())));
            if answers.len() == 1 {
                self.step("BEGIN IMMEDIATE")?;
            }
            let is_new = creates(&writes);
            if is_new {
                named = named.max(payloads);
            }
            let outcome = if is_full && is_new {
                Err(Halt::Refused(self.full().into()))
            } else {
                group.transact(writes)
            };
            match outcome {
                Ok(()) => {}
                Err(Halt::Refused(error)) => {
                    if let Some((_, outcome)) = answers.last_mut() {
                        *outcome = Err(error);
                    }
                }
                Err(Halt::Failed(error)) => return Err(error.into()),
            }
            if answers.len() < GROUP_MAX {
                next = waiting.try_recv().ok();
            }
        }
        group.write_heads()?;
        // The payloads that entries of this group name come first. Nearly always that has happened meanwhile.
        if let Some(flush) = &self.flush {
            flush.up_to(named).map_err(Failure::Claims)?;
        }
        #[cfg(test)]
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        self.step("COMMIT")?;
        #[cfg(test)]
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        group.publish();
        Ok(())
    }

    fn step(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn fail(&mut self, failure: &Failure, answers: Answers) {
        // Some errors have rolled it back already.
        let is_undone = self.db.is_autocommit() || self.step("ROLLBACK").is_ok();
        let (is_harmless, failed) = match failure {
            Failure::Database(error) => {
                let code = error.sqlite_error_code();
                let is_harmless = matches!(
                    code,
                    Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::OutOfMemory)
                );
                (is_harmless, failed(error))
            }
            // Nothing of the ledger is in doubt.
            Failure::Claims(error) => (true, LedgerError::Unavailable(error.to_string())),
        };
        let reason = if is_undone && is_harmless {
            tracing::warn!(error = %failed, "a write to the ledger failed and was undone");
            format!("a write failed ({failed}); check the disk")
        } else {
            self.break_off(&failed)
        };
        for (answer, _) in answers {
            let _ = answer.send(Err(LedgerError::Unavailable(reason.clone()).into()));
        }
    }

    fn break_off(&mut self, error: &LedgerError) -> String {
        tracing::error!(%error, "the ledger could not be written; it takes no more writes until it is opened again");
        let reason = format!("a write failed ({error}); check the disk, then restart");
        self.broken = Some(reason.clone());
        reason
    }

    /// Has the log carried over when it is long. What was written meanwhile is carried over here: only when nothing is
    /// left of it can the next commit begin the log anew.
    fn tend_log(&mut self) {
        let pages = self.log_pages.load(Ordering::Relaxed);
        if !self.carrier.is_under_way() {
            if pages < LOG_PAGES || self.carrier.begin() {
                return;
            }
        } else {
            match self.carrier.ended(pages >= LOG_PAGES_MAX) {
                Some(outcome) => self.carried(outcome),
                None if self.carrier.is_under_way() => return,
                None => {}
            }
        }
        if self.broken.is_none() {
            self.carry_over(CheckpointMode::PASSIVE);
        }
    }

    fn carry_over(&mut self, mode: CheckpointMode) {
        let outcome = carry_over(&self.db, mode);
        self.carried(outcome);
    }

    fn carried(&mut self, outcome: rusqlite::Result<()>) {
        let Err(error) = outcome else { return };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => {}
            Some(ErrorCode::DiskFull) => {
                tracing::warn!(%error, "the ledger's log could not be carried over; it grows until there is room");
            }
            _ => drop(self.break_off(&failed(&error))),
        }
    }

    /// Whether the disk is so full that nothing new is taken. What deletes or moves on is: it is what makes room.
    fn is_full(&self) -> bool {
        match disk::available_bytes(&self.folder) {
            Ok(bytes) => bytes < self.reserve_bytes,
            Err(error) => {
                tracing::warn!(%error, "cannot tell how much room the disk has");
                false
            }
        }
    }

    fn full(&self) -> LedgerError {
        LedgerError::Unavailable(format!(
            "less than {} bytes are free on its disk",
            self.reserve_bytes
        ))
    }
}

fn creates(writes: &[Prepared]) -> bool {
    writes
        .iter()
        .any(|write| matches!(write.action, Action::Create(_)))
}
