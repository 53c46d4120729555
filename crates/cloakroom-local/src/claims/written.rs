//! The segment that is written to, and the one after it.
//!
//! A file that grows with every write has to have its new length made durable with every sync, in the file system's
//! journal, which everything else on the disk waits for too. So, under load, the next segment is laid out beforehand: filled
//! with zeros in the background, piece by piece. Writing over them finds nothing to do but the bytes themselves. What is left
//! of the zeros is cut off when a segment is sealed, at the end of the run, or by the next start after a crash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use cloakroom_engine::ports::ClaimError;

use super::name;
use super::record::{SEGMENT_HEADER_BYTES, segment_header};
use super::scan;
use crate::disk;

/// A segment that has reached this size is sealed.
pub(crate) const SEGMENT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Writes that are larger than this on average hardly notice the journal.
const LARGE_WRITE_BYTES: u64 = 512 * 1024;

/// When and how far the next segment is laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// A segment that has come this far, and was not laid out itself, shows that laying out the next one is worth it …
    unlaid: u64,
    /// … and one that was laid out, that its end is near.
    laid: u64,
    /// How far: the last write may go beyond a segment's end a little.
    bytes: u64,
    /// It goes in pieces, so that nobody else waits long for the disk.
    piece: usize,
}

const LAYOUT: Layout = Layout {
    unlaid: 4 * 1024 * 1024,
    laid: SEGMENT_MAX_BYTES / 2,
    bytes: SEGMENT_MAX_BYTES + 1024 * 1024,
    piece: 1024 * 1024,
};

/// Why a write failed.
pub(super) enum Failure {
    /// It may be tried again, at the same place.
    Harmless(io::Error),
    /// The kernel may have dropped what was not on the disk yet.
    Broken(io::Error),
}

/// The last segment, and how it goes on.
pub(super) struct Written {
    folder: PathBuf,
    reserve_bytes: u64,
    file: File,
    segment: u64,
    len: u64,
    /// How far the file reaches.
    file_len: u64,
    /// Where this run began to write, and how often it did.
    begun_at: u64,
    writes: u64,
    layout: Layout,
    next: Next,
}

/// The segment after this one, as far as it is laid out.
enum Next {
    None,
    Coming {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<io::Result<File>>,
    },
    Ready(File),
    /// The disk would not have it: this run does without.
    Failed,
}

impl Written {
    /// Goes on with the last segment, once what a crash left half-written at its end is cut off.
    pub(super) fn open(folder: &Path, reserve_bytes: u64) -> io::Result<Self> {
        remove_if_there(&next_path(folder))?;
        let last = scan::segments(folder)?.pop();
        let resumed = match last {
            Some(segment) => resume(folder, segment)?,
            None => None,
        };
        let (file, segment, len) = match resumed {
            Some((file, len)) => (file, last.unwrap_or(0), len),
            None => {
                let segment = last.map_or(1, |last| last + 1);
                (create(folder, segment)?, segment, SEGMENT_HEADER_BYTES)
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            reserve_bytes,
            file,
            segment,
            len,
            file_len: len,
            begun_at: len,
            writes: 0,
            layout: LAYOUT,
            next: Next::None,
        })
    }

    pub(super) fn segment(&self) -> u64 {
        self.segment
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the next segment is laid out, and this one is not: then it pays to go over to it.
    pub(super) fn has_next(&self) -> bool {
        matches!(self.next, Next::Ready(_)) && !self.is_laid_out()
    }

    pub(super) fn check_room(&self) -> Result<(), ClaimError> {
        super::check_room(&self.folder, self.reserve_bytes)
    }

    /// Writes bytes to their place, durably: at the end of the segment, or at the beginning of the next one.
    pub(super) fn write(&mut self, segment: u64, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        if segment > self.segment {
            self.go_over(segment).map_err(Failure::Harmless)?;
        }
        debug_assert!(
            segment == self.segment && offset == self.len,
            "records follow one another"
        );
        let end = offset + bytes.len() as u64;
        if let Err(error) = self.file.write_all_at(bytes, offset) {
            // What got there is written over by the next try, which comes to the same place.
            return Err(Failure::Harmless(error));
        }
        self.file.sync_data().map_err(Failure::Broken)?;
        self.len = end;
        self.file_len = self.file_len.max(end);
        self.writes += 1;
        self.look_ahead();
        Ok(())
    }

    /// Ends the run: nothing is left but what was written.
    pub(super) fn end(&mut self) {
        if let Next::Coming { stop, thread } = std::mem::replace(&mut self.next, Next::Failed) {
            stop.store(true, Ordering::Relaxed);
            // However it ended, its file goes.
            let _ = thread.join();
        }
        let cut = self.cut();
        if let Err(error) = cut.and_then(|()| remove_if_there(&next_path(&self.folder))) {
            tracing::warn!(%error, "room that was laid out for payloads stays until the next start");
        }
    }

    fn is_laid_out(&self) -> bool {
        self.file_len > self.len
    }

    /// Seals this segment and begins the next one.
    fn go_over(&mut self, segment: u64) -> io::Result<()> {
        self.cut()?;
        let path = next_path(&self.folder);
        let laid_out = match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(file) => Some(file),
            Next::Coming { stop, thread } => {
                stop.store(true, Ordering::Relaxed);
                // What there is of it will do.
                thread.join().ok().and_then(Result::ok)
            }
            other => {
                self.next = other;
                None
            }
        };
        (self.file, self.file_len) = match laid_out {
            Some(file) => {
                file.write_all_at(&segment_header(segment), 0)?;
                file.sync_all()?;
                std::fs::rename(&path, name::segment_path(&self.folder, segment))?;
                disk::sync_directory(&self.folder)?;
                let len = file.metadata()?.len();
                (file, len)
            }
            None => (create(&self.folder, segment)?, SEGMENT_HEADER_BYTES),
        };
        self.segment = segment;
        self.len = SEGMENT_HEADER_BYTES;
        self.begun_at = self.len;
        self.writes = 0;
        Ok(())
    }

    /// Cuts off what was laid out and not used.
    fn cut(&mut self) -> io::Result<()> {
        if self.is_laid_out() {
            self.file.set_len(self.len)?;
            self.file.sync_all()?;
            self.file_len = self.len;
        }
        Ok(())
    }

    /// Has the next segment laid out when that is worth it.
    fn look_ahead(&mut self) {
        match &self.next {
            Next::None if self.is_worth_it() => {
                self.next = lay_out(&self.folder, self.layout);
            }
            Next::Coming { thread, .. } if thread.is_finished() => {
                let Next::Coming { thread, .. } = std::mem::replace(&mut self.next, Next::Failed)
                else {
                    return;
                };
                match thread.join() {
                    Ok(Ok(file)) => self.next = Next::Ready(file),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "no room is laid out for payloads; storing them takes longer");
                    }
                    Err(_) => tracing::error!("laying out room for payloads ended in a panic"),
                }
            }
            _ => {}
        }
    }

    fn is_worth_it(&self) -> bool {
        let enough = match self.is_laid_out() {
            true => self.layout.laid,
            false => self.layout.unlaid,
        };
        let written = self.len - self.begun_at;
        written >= enough
            && written < self.writes * LARGE_WRITE_BYTES
            && super::check_room(&self.folder, self.reserve_bytes + 2 * self.layout.bytes).is_ok()
    }
}

/// Begins to lay out the next segment, in a thread that ends with it.
fn lay_out(folder: &Path, layout: Layout) -> Next {
    let (path, stop) = (next_path(folder), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("claim-layer".to_owned())
        .spawn(move || fill(&path, layout, &told));
    match thread {
        Ok(thread) => Next::Coming { stop, thread },
        Err(error) => {
            tracing::warn!(%error, "no room is laid out for payloads; storing them takes longer");
            Next::Failed
        }
    }
}

fn fill(path: &Path, layout: Layout, stop: &AtomicBool) -> io::Result<File> {
    remove_if_there(path)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    let piece = vec![0; layout.piece];
    let mut at = 0;
    while at < layout.bytes && !stop.load(Ordering::Relaxed) {
        file.write_all_at(&piece, at)?;
        file.sync_data()?;
        at += layout.piece as u64;
    }
    Ok(file)
}

/// Where the next segment is laid out. What is found there at a start is removed.
fn next_path(folder: &Path) -> PathBuf {
    folder.join("next")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn create(folder: &Path, segment: u64) -> io::Result<File> {
    let path = name::segment_path(folder, segment);
    // It is the first try, or one before it failed half-way: no record is in there.
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all_at(&segment_header(segment), 0)?;
    file.sync_all()?;
    disk::sync_directory(folder)?;
    Ok(file)
}

/// Opens the last segment to go on with it. `None` when it is full, or damaged before its end: then it stays as it is.
fn resume(folder: &Path, segment: u64) -> io::Result<Option<(File, u64)>> {
    let path = name::segment_path(folder, segment);
    let found = scan::segment(&path, segment, |_, _| {})?;
    if !found.has_header || found.valid_after_damage {
        return Ok(None);
    }
    let file = File::options().read(true).write(true).open(path)?;
    if found.file_len > found.valid_len {
        let bytes = found.file_len - found.valid_len;
        tracing::info!(
            segment,
            bytes,
            "cut off what the last run did not write when it ended"
        );
        file.set_len(found.valid_len)?;
        file.sync_all()?;
    }
    Ok((found.valid_len < SEGMENT_MAX_BYTES).then_some((file, found.valid_len)))
}

#[cfg(test)]
mod tests {
    use cloakroom_core::event::Sha256;
    use cloakroom_core::time::Timestamp;
    use cloakroom_engine::ports::ClaimHint;

    use super::super::record::Unplaced;
    use super::*;

    const SMALL: Layout = Layout {
        unlaid: 4 * 1024,
        laid: 32 * 1024,
        bytes: 64 * 1024,
        piece: 16 * 1024,
    };

    fn open(folder: &Path) -> Written {
        let mut written = Written::open(folder, 0).unwrap();
        written.layout = SMALL;
        written
    }

    /// Writes one record to the end of a segment; it is what `read` finds there.
    fn put(written: &mut Written, segment: u64, payload: &[u8]) {
        let hint = ClaimHint {
            source: "shop".into(),
            identity: "evt".into(),
            event: None,
            sha256: Sha256::of(payload),
            size: payload.len() as u64,
            recorded: Timestamp::from_secs(1),
        };
        let offset = match segment > written.segment() {
            true => SEGMENT_HEADER_BYTES,
            false => written.len(),
        };
        let mut bytes = Vec::new();
        Unplaced::new(&hint, payload).place(segment, offset, &mut bytes);
        assert!(written.write(segment, offset, &bytes).is_ok());
    }

    /// Writes until the next segment is laid out; how many records that took.
    fn until_next(written: &mut Written) -> u64 {
        let mut records = 0;
        while !written.has_next() {
            put(written, written.segment(), &[7; 1024]);
            records += 1;
            std::thread::yield_now();
        }
        records
    }

    fn found(folder: &Path, segment: u64) -> scan::Segment {
        scan::segment(&name::segment_path(folder, segment), segment, |_, _| {}).unwrap()
    }

    #[test]
    fn the_next_segment_is_laid_out_and_used_and_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = open(folder.path());
        let records = until_next(&mut written);
        assert!(records > 3, "not before it is worth it");
        assert!(next_path(folder.path()).exists());
        put(&mut written, 2, b"the first of the second segment");
        assert!(!next_path(folder.path()).exists());
        let first = found(folder.path(), 1);
        assert_eq!((first.records, first.file_len), (records, first.valid_len));
        let second = found(folder.path(), 2);
        assert_eq!(second.records, 1);
        assert_eq!(second.file_len, SMALL.bytes, "its room is there already");
        assert!(second.is_room_behind && !second.valid_after_damage);
        put(&mut written, 2, b"and the second");
        written.end();
        let second = found(folder.path(), 2);
        assert_eq!((second.records, second.file_len), (2, second.valid_len));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_a_crash_leaves_of_the_room_is_cut_off_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = open(folder.path());
        until_next(&mut written);
        put(&mut written, 2, b"durable");
        // A crash: nothing is ended, and the segment after this one was on its way.
        drop(written);
        std::fs::write(next_path(folder.path()), [0; 100]).unwrap();
        let before = found(folder.path(), 2);
        assert!(before.is_room_behind && before.file_len > before.valid_len);
        let mut again = open(folder.path());
        assert!(!next_path(folder.path()).exists());
        assert_eq!((again.segment(), again.len()), (2, before.valid_len));
        put(&mut again, 2, b"more");
        let after = found(folder.path(), 2);
        assert_eq!(after.records, before.records + 1);
        assert_eq!(after.file_len, after.valid_len);
    }

    #[test]
    fn large_writes_need_no_room_laid_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = open(folder.path());
        let payload = vec![7; LARGE_WRITE_BYTES as usize];
        put(&mut written, 1, &payload);
        put(&mut written, 1, &payload);
        assert!(matches!(written.next, Next::None));
    }
}
