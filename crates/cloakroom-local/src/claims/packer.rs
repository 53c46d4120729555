//! Where small payloads are packed: they get their place in a segment at once, in memory, and all that wait are made durable
//! together, by one write and one sync.
//!
//! A thread does that as soon as anything waits, while the ledger's writer is busy with what came before. Whoever must be
//! sure that a payload is durable asks for its mark, and waits for the thread or does the rest itself.
//!
//! A name holds its segment and offset. Segments are numbered on and never written again once sealed, and within one run no
//! offset is given twice. After a crash an offset may be given again when its bytes never became durable; then no entry of
//! the ledger that names it did either, because the ledger flushes before it commits: no name ever leads to other bytes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::ClaimError;
use tokio::sync::oneshot;

use super::name::Place;
use super::record::{SEGMENT_HEADER_BYTES, Unplaced};
use super::written::{Failure, SEGMENT_MAX_BYTES, Written};

/// What is kept of a buffer's memory for the next one.
const BUFFER_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Who waits for a flush; `None` when somebody will ask later.
type Waiting = Option<oneshot::Sender<Result<(), ClaimError>>>;

/// How much was placed up to a moment: what is placed by then is durable when that much is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(u64);

pub(super) struct Packer {
    shared: Arc<Shared>,
    /// `None` once closed.
    requests: Mutex<Option<Sender<Waiting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What makes everything durable that has a place by then. Clones do the same.
#[derive(Clone)]
pub(crate) struct Flush(Arc<Shared>);

impl Flush {
    /// Of everything that has its place by now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.0.placed.load(Ordering::Acquire))
    }

    /// Returns once everything up to the mark is durable. After an error it is not, and may become so later.
    pub(crate) fn up_to(&self, mark: Mark) -> Result<(), ClaimError> {
        self.0.flush_up_to(mark)
    }
}

struct Shared {
    filling: Mutex<Filling>,
    disk: Mutex<Disk>,
    active: AtomicU64,
    /// How many records have a place, and how many of these are durable.
    placed: AtomicU64,
    durable: AtomicU64,
    /// Whether the thread has been told of what waits.
    is_told: AtomicBool,
}

/// Records that have their places and are not written yet.
struct Filling {
    segment: u64,
    /// Where the next record goes.
    len: u64,
    /// A segment that has reached this gets no more records.
    limit: u64,
    runs: Vec<Run>,
    spare: Vec<u8>,
    /// Why nothing is taken: the last flush failed.
    refused: Option<ClaimError>,
}

/// Bytes that follow one another in one segment.
struct Run {
    segment: u64,
    offset: u64,
    bytes: Vec<u8>,
}

struct Disk {
    written: Written,
    /// What could not be written yet comes first.
    runs: VecDeque<Run>,
    /// An empty buffer that may be filled again.
    spare: Option<Vec<u8>>,
    broken: Option<ClaimError>,
}

impl Packer {
    pub(super) fn start(segments: &Path, reserve_bytes: u64) -> Result<Self, ClaimError> {
        let written =
            Written::open(segments, reserve_bytes).map_err(|error| super::unavailable(&error))?;
        let shared = Arc::new(Shared {
            active: AtomicU64::new(written.segment()),
            placed: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
            filling: Mutex::new(Filling {
                segment: written.segment(),
                len: written.len(),
                limit: SEGMENT_MAX_BYTES,
                runs: Vec::new(),
                spare: Vec::new(),
                refused: None,
            }),
            disk: Mutex::new(Disk {
                written,
                runs: VecDeque::new(),
                spare: None,
                broken: None,
            }),
        });
        let (requests, waiting) = channel();
        let flushed = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("claim-packer".to_owned())
            .spawn(move || flushed.run(&waiting))
            .map_err(|error| super::unavailable(&error))?;
        Ok(Self {
            shared,
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Gives a record its place. It becomes durable soon; see [`Flush`].
    pub(super) fn place(&self, record: Unplaced) -> Result<ClaimName, ClaimError> {
        let name = self.shared.place(record)?;
        if !self.shared.is_told.swap(true, Ordering::AcqRel)
            && let Some(requests) = &*lock(&self.requests)
        {
            // Without the thread, whoever asks for the mark does its work.
            let _ = requests.send(None);
        }
        Ok(name)
    }

    /// Gives a record its place and makes it durable.
    pub(super) async fn put(&self, record: Unplaced) -> Result<ClaimName, ClaimError> {
        let closed = || ClaimError::Unavailable("it is shutting down".to_owned());
        let (answer, answered) = oneshot::channel();
        let name = {
            let requests = lock(&self.requests);
            let requests = requests.as_ref().ok_or_else(closed)?;
            let name = self.shared.place(record)?;
            requests.send(Some(answer)).map_err(|_| closed())?;
            name
        };
        answered.await.map_err(|_| closed())??;
        Ok(name)
    }

    pub(super) fn flush(&self) -> Flush {
        Flush(Arc::clone(&self.shared))
    }

    /// The segment that is still written to: all below it are sealed.
    pub(super) fn active(&self) -> u64 {
        self.shared.active.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        drop(lock(&self.requests).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the packer of claims ended in a panic");
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Flushes for those who wait for just that, together.
    fn run(&self, waiting: &Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let mut group = vec![first];
            group.extend(waiting.try_iter());
            // What is placed from here on is told anew: the flush may come too early for it.
            self.is_told.store(false, Ordering::Release);
            let outcome = self.flush();
            for answer in group.into_iter().flatten() {
                // A caller that no longer listens leaves a payload that nothing refers to.
                let _ = answer.send(outcome.clone());
            }
        }
        let outcome = self.flush();
        let closed = ClaimError::Unavailable("it is shutting down".to_owned());
        lock(&self.filling).refused = Some(closed.clone());
        let mut disk = lock(&self.disk);
        disk.broken.get_or_insert(closed);
        if outcome.is_ok() {
            disk.written.end();
        }
    }

    fn place(&self, record: Unplaced) -> Result<ClaimName, ClaimError> {
        let is_refused = lock(&self.filling).refused.is_some();
        if is_refused {
            // Whatever was in the way may have gone.
            self.flush()?;
        }
        let mut filling = lock(&self.filling);
        if let Some(error) = &filling.refused {
            return Err(error.clone());
        }
        let name = filling.place(record);
        self.placed.fetch_add(1, Ordering::Release);
        Ok(name)
    }

    /// Makes everything durable that has its place by now.
    fn flush(&self) -> Result<(), ClaimError> {
        self.flush_up_to(Mark(u64::MAX))
    }

    fn flush_up_to(&self, mark: Mark) -> Result<(), ClaimError> {
        let is_durable = || self.durable.load(Ordering::Acquire) >= mark.0;
        if is_durable() {
            return Ok(());
        }
        let mut disk = lock(&self.disk);
        // Whoever had the disk until now may have done it.
        if is_durable() {
            return Ok(());
        }
        if let Some(error) = &disk.broken {
            return Err(error.clone());
        }
        let placed = {
            // Whoever placed a record before finds it among these, or durable already.
            let mut filling = lock(&self.filling);
            disk.runs.extend(filling.runs.drain(..));
            self.placed.load(Ordering::Acquire)
        };
        let outcome = disk.write(&self.active);
        let mut filling = lock(&self.filling);
        filling.refused = outcome.as_ref().err().cloned();
        if outcome.is_ok() {
            self.durable.store(placed, Ordering::Release);
        }
        if filling.segment == disk.written.segment() && disk.written.has_next() {
            filling.limit = 0;
        }
        if let Some(spare) = disk.spare.take() {
            filling.spare = spare;
        }
        outcome
    }
}

impl Filling {
    fn place(&mut self, record: Unplaced) -> ClaimName {
        if self.len >= self.limit {
            self.segment += 1;
            self.len = SEGMENT_HEADER_BYTES;
            self.limit = SEGMENT_MAX_BYTES;
        }
        let (segment, offset) = (self.segment, self.len);
        let place = Place::Packed {
            segment,
            offset,
            len: record.payload_len(),
        };
        self.len += record.len() as u64;
        if let Some(run) = self.runs.last_mut()
            && run.segment == segment
        {
            record.place(segment, offset, &mut run.bytes);
        } else {
            let mut bytes = std::mem::take(&mut self.spare);
            record.place(segment, offset, &mut bytes);
            self.runs.push(Run {
                segment,
                offset,
                bytes,
            });
        }
        place.name()
    }
}

impl Disk {
    /// Writes and syncs all that waits. What fails goes on waiting, unless nobody can know what is on the disk any more.
    fn write(&mut self, active: &AtomicU64) -> Result<(), ClaimError> {
        if self.runs.is_empty() {
            return Ok(());
        }
        self.written.check_room()?;
        while let Some(run) = self.runs.pop_front() {
            let written = self.written.write(run.segment, run.offset, &run.bytes);
            active.store(self.written.segment(), Ordering::Release);
            match written {
                Ok(()) => {
                    let mut spare = run.bytes;
                    spare.clear();
                    spare.shrink_to(BUFFER_KEPT_BYTES);
                    self.spare = Some(spare);
                }
                Err(Failure::Harmless(error)) => {
                    self.runs.push_front(run);
                    return Err(super::unavailable(&error));
                }
                Err(Failure::Broken(error)) => {
                    tracing::error!(%error, "small payloads could not be stored; no more are taken until the store is opened again");
                    let text = format!("a write failed ({error}); check the disk, then restart");
                    let broken = ClaimError::Unavailable(text);
                    self.broken = Some(broken.clone());
                    return Err(broken);
                }
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
