//! Reading payloads back, and never as anything but what was written.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::{ClaimError, PayloadStream};
use crc32fast::Hasher;
use futures::StreamExt as _;
use quick_cache::sync::Cache;

use super::record::{self, ObjectInfo, RECORD_HEADER_BYTES, RecordHeader};
use super::{name, unavailable, unblocked};

/// How many segments stay open for reading.
const OPEN_FILES: usize = 32;

/// Read along with a small payload: enough for its header and nearly every hint.
const HINT_GUESS_BYTES: usize = 768;

/// How much of an object is in memory at a time, per reader.
const CHUNK_BYTES: u64 = 256 * 1024;

/// The segments, opened as needed.
pub(super) struct Segments {
    folder: PathBuf,
    open: Cache<u64, Arc<File>>,
}

impl Segments {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: Cache::new(OPEN_FILES),
        }
    }

    /// Forgets a segment that is being removed.
    pub(super) fn forget(&self, segment: u64) {
        self.open.remove(&segment);
    }

    /// Reads a packed payload. What was written lately is in the page cache, so this is not worth a thread.
    pub(super) fn read(
        &self,
        claim: &ClaimName,
        segment: u64,
        offset: u64,
        len: u32,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        let open = || File::open(name::segment_path(&self.folder, segment)).map(Arc::new);
        let file = match self.open.get_or_insert_with(&segment, open) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ClaimError::Missing(claim.clone()));
            }
            Err(error) => return Err(unavailable(&error)),
        };
        let payload = packed(&file, segment, offset, len).map_err(|error| unavailable(&error))?;
        let payload = match payload {
            Packed::Payload(payload) => payload,
            Packed::Nothing => return Err(ClaimError::Missing(claim.clone())),
            Packed::Damaged => {
                return Err(ClaimError::Corrupt(format!(
                    "claim {} is not what was written",
                    claim.0
                )));
            }
        };
        let part = match range {
            None => payload,
            Some(range) => {
                let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(payload.len());
                payload.slice(clip(range.start)..clip(range.end).max(clip(range.start)))
            }
        };
        Ok(futures::stream::iter([Ok(part)]).boxed())
    }
}

/// What is at the place of a packed payload.
pub(crate) enum Packed {
    Payload(Bytes),
    /// The segment does not reach this far.
    Nothing,
    Damaged,
}

/// Reads and checks a packed payload.
pub(crate) fn packed(file: &File, segment: u64, offset: u64, len: u32) -> io::Result<Packed> {
    if len as usize > super::SMALL_MAX_BYTES {
        return Ok(Packed::Nothing);
    }
    let mut record = vec![0; RECORD_HEADER_BYTES + HINT_GUESS_BYTES + len as usize];
    let got = read_up_to(file, &mut record, offset)?;
    if got == 0 {
        return Ok(Packed::Nothing);
    }
    record.truncate(got);
    if record
        .iter()
        .take(RECORD_HEADER_BYTES)
        .all(|byte| *byte == 0)
    {
        // Room that was laid out and not used.
        return Ok(Packed::Nothing);
    }
    let header = (got >= RECORD_HEADER_BYTES)
        .then(|| RecordHeader::parse(&record))
        .flatten();
    let Some(header) = header.filter(|header| header.payload_len == len) else {
        return Ok(Packed::Damaged);
    };
    if record.len() < header.record_len() {
        record.resize(header.record_len(), 0);
        if read_up_to(file, &mut record, offset)? < header.record_len() {
            return Ok(Packed::Damaged);
        }
    }
    if record::check(&record, segment, offset).is_none() {
        return Ok(Packed::Damaged);
    }
    let start = header.record_len() - len as usize;
    Ok(Packed::Payload(
        Bytes::from(record).slice(start..header.record_len()),
    ))
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        // Names come from outside: an offset near the largest number must not overflow.
        let Some(at) = offset
            .checked_add(got as u64)
            .filter(|at| i64::try_from(*at).is_ok())
        else {
            return Ok(got);
        };
        match file.read_at(&mut buffer[got..], at) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

struct Reading {
    claim: ClaimName,
    file: Arc<File>,
    info: ObjectInfo,
    at: u64,
    end: u64,
    /// Kept when the whole payload is read.
    crc: Option<Hasher>,
}

/// Objects that were read to their end and found sound, by this process.
pub(super) type Sound = Cache<u128, ()>;

/// How many of them are remembered.
pub(super) const SOUND_MAX: usize = 4096;

/// Reads an object piece by piece. When all of it is read, its CRC is checked before the last piece is handed out. Before a
/// part of it is read for the first time, all of it is checked.
pub(super) async fn object(
    claim: ClaimName,
    (id, path): (u128, PathBuf),
    range: Option<Range<u64>>,
    sound: &Sound,
) -> Result<PayloadStream, ClaimError> {
    let is_part = range.is_some() && sound.get(&id).is_none();
    let opened = unblocked(move || match File::open(path) {
        Ok(file) => {
            let info = record::object_info(&file)?;
            let info = match info {
                Some(info) if is_part && !holds(&file, &info)? => None,
                info => info,
            };
            Ok(Some((file, info)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    let Some((file, info)) = opened.await? else {
        return Err(ClaimError::Missing(claim));
    };
    let info = info.ok_or_else(|| damaged(&claim))?;
    if is_part {
        sound.insert(id, ());
    }
    let range = range.unwrap_or(0..info.payload_len);
    let end = range.end.min(info.payload_len);
    let reading = Reading {
        crc: (range.start == 0 && end == info.payload_len).then(Hasher::new),
        at: range.start.min(end),
        end,
        claim,
        file: Arc::new(file),
        info,
    };
    let pieces = futures::stream::unfold(Some(reading), |reading| async {
        let mut reading = reading?;
        match reading.next().await {
            Ok(None) => None,
            Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(pieces.boxed())
}

/// Whether a payload is what was written.
fn holds(file: &File, info: &ObjectInfo) -> io::Result<bool> {
    let (mut crc, mut at) = (Hasher::new(), 0);
    let mut piece = vec![0; CHUNK_BYTES as usize];
    while at < info.payload_len {
        let len = (info.payload_len - at).min(CHUNK_BYTES);
        let piece = &mut piece[..len as usize];
        file.read_exact_at(piece, at)?;
        crc.update(piece);
        at += len;
    }
    Ok(crc.finalize() == info.payload_crc)
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, ClaimError> {
        let len = (self.end - self.at).min(CHUNK_BYTES);
        if len == 0 {
            return Ok(None);
        }
        let (file, at) = (Arc::clone(&self.file), self.at);
        let piece = unblocked(move || {
            let mut piece = vec![0; len as usize];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece)
        });
        let piece = piece.await?;
        self.at += len;
        if let Some(crc) = &mut self.crc {
            crc.update(&piece);
            if self.at == self.end && crc.clone().finalize() != self.info.payload_crc {
                return Err(damaged(&self.claim));
            }
        }
        Ok(Some(piece.into()))
    }
}

fn damaged(claim: &ClaimName) -> ClaimError {
    ClaimError::Corrupt(format!("claim {} is not what was written", claim.0))
}
