//! The one thread that appends to segments: whatever records are waiting go into one write and one sync, then all of
//! them get their names.
//!
//! A name holds its segment and offset. Segments are numbered on and never written again once sealed, and an offset is
//! used again only when its bytes never became durable, so that nobody was told the name: no name is given twice.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::ClaimError;
use tokio::sync::oneshot;

use super::name::{self, Place};
use super::record::{SEGMENT_HEADER_BYTES, Unplaced, segment_header};
use super::scan;
use crate::disk;

/// A segment that has reached this size is sealed.
pub(crate) const SEGMENT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A group ends here, so that its buffer stays small.
const GROUP_MAX_BYTES: usize = 4 * 1024 * 1024;

struct Request {
    record: Unplaced,
    answer: oneshot::Sender<Result<ClaimName, ClaimError>>,
}

pub(super) struct Packer {
    /// `None` once closed.
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    active: Arc<AtomicU64>,
}

impl Packer {
    pub(super) fn start(segments: &Path, reserve_bytes: u64) -> Result<Self, ClaimError> {
        let appender =
            Appender::open(segments, reserve_bytes).map_err(|error| super::unavailable(&error))?;
        let active = Arc::clone(&appender.active);
        let (requests, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("claim-packer".to_owned())
            .spawn(move || appender.run(&waiting))
            .map_err(|error| super::unavailable(&error))?;
        Ok(Self {
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(Some(thread)),
            active,
        })
    }

    pub(super) async fn put(&self, record: Unplaced) -> Result<ClaimName, ClaimError> {
        let closed = || ClaimError::Unavailable("it is shutting down".to_owned());
        let (answer, answered) = oneshot::channel();
        {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let requests = requests.as_ref().ok_or_else(closed)?;
            requests
                .send(Request { record, answer })
                .map_err(|_| closed())?;
        }
        answered.await.map_err(|_| closed())?
    }

    /// The segment that is still written to: all below it are sealed.
    pub(super) fn active(&self) -> u64 {
        self.active.load(Ordering::Acquire)
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
            tracing::error!("the packer of claims ended in a panic");
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Appender {
    segments: PathBuf,
    reserve_bytes: u64,
    file: File,
    segment: u64,
    len: u64,
    active: Arc<AtomicU64>,
    broken: Option<String>,
    buffer: Vec<u8>,
}

impl Appender {
    /// Goes on with the last segment, once what a crash left half-written at its end is cut off.
    fn open(segments: &Path, reserve_bytes: u64) -> io::Result<Self> {
        let last = scan::segments(segments)?.pop();
        let resumed = match last {
            Some(segment) => resume(segments, segment)?,
            None => None,
        };
        let (file, segment, len) = match resumed {
            Some((file, len)) => (file, last.unwrap_or(0), len),
            None => {
                let segment = last.map_or(1, |last| last + 1);
                (create(segments, segment)?, segment, SEGMENT_HEADER_BYTES)
            }
        };
        Ok(Self {
            segments: segments.to_owned(),
            reserve_bytes,
            file,
            segment,
            len,
            active: Arc::new(AtomicU64::new(segment)),
            broken: None,
            buffer: Vec::new(),
        })
    }

    fn run(mut self, waiting: &Receiver<Request>) {
        while let Ok(first) = waiting.recv() {
            let mut size = first.record.len();
            let mut group = vec![first];
            while size < GROUP_MAX_BYTES
                && let Ok(next) = waiting.try_recv()
            {
                size += next.record.len();
                group.push(next);
            }
            self.append(group);
        }
    }

    fn append(&mut self, group: Vec<Request>) {
        if let Err(error) = self.make_ready() {
            for Request { answer, .. } in group {
                let _ = answer.send(Err(error.clone()));
            }
            return;
        }
        let mut named = Vec::with_capacity(group.len());
        self.buffer.clear();
        for Request { record, answer } in group {
            let offset = self.len + self.buffer.len() as u64;
            let place = Place::Packed {
                segment: self.segment,
                offset,
                len: record.payload_len(),
            };
            record.place(self.segment, offset, &mut self.buffer);
            named.push((answer, place.name()));
        }
        let outcome = self.write_durably();
        for (answer, name) in named {
            // A caller that no longer listens leaves a payload that nothing refers to.
            let _ = answer.send(outcome.clone().map(|()| name));
        }
    }

    fn make_ready(&mut self) -> Result<(), ClaimError> {
        if let Some(reason) = &self.broken {
            return Err(ClaimError::Unavailable(reason.clone()));
        }
        super::check_room(&self.segments, self.reserve_bytes)?;
        if self.len >= SEGMENT_MAX_BYTES {
            let next = self.segment + 1;
            self.file = create(&self.segments, next).map_err(|error| super::unavailable(&error))?;
            self.segment = next;
            self.len = SEGMENT_HEADER_BYTES;
            self.active.store(next, Ordering::Release);
        }
        Ok(())
    }

    fn write_durably(&mut self) -> Result<(), ClaimError> {
        let written = self.file.write_all_at(&self.buffer, self.len);
        if let Err(error) = written {
            // Nothing of it was promised. What got there is cut off, or overwritten by the next group.
            if let Err(cut) = self.file.set_len(self.len) {
                self.broken = Some(broken(&cut));
            }
            return Err(super::unavailable(&error));
        }
        if let Err(error) = self.file.sync_data() {
            let reason = broken(&error);
            tracing::error!(%error, "small payloads could not be stored; no more are taken until the store is opened again");
            self.broken = Some(reason.clone());
            return Err(ClaimError::Unavailable(reason));
        }
        self.len += self.buffer.len() as u64;
        self.buffer.shrink_to(GROUP_MAX_BYTES);
        Ok(())
    }
}

fn broken(error: &io::Error) -> String {
    format!("a write failed ({error}); check the disk, then restart")
}

fn create(segments: &Path, segment: u64) -> io::Result<File> {
    let path = name::segment_path(segments, segment);
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all_at(&segment_header(segment), 0)?;
    file.sync_all()?;
    disk::sync_directory(segments)?;
    Ok(file)
}

/// Opens the last segment to go on with it. `None` when it is full, or damaged before its end: then it stays as it is.
fn resume(segments: &Path, segment: u64) -> io::Result<Option<(File, u64)>> {
    let path = name::segment_path(segments, segment);
    let found = scan::segment(&path, segment, |_, _| {})?;
    if !found.has_header || found.valid_after_damage || found.valid_len >= SEGMENT_MAX_BYTES {
        return Ok(None);
    }
    let file = File::options().read(true).write(true).open(path)?;
    if found.file_len > found.valid_len {
        let bytes = found.file_len - found.valid_len;
        tracing::info!(
            segment,
            bytes,
            "cut off what was being written when the last run ended"
        );
        file.set_len(found.valid_len)?;
        file.sync_all()?;
    }
    Ok(Some((file, found.valid_len)))
}
