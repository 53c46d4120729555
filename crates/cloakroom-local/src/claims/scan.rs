//! Looking through the files of the claim store.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use cloakroom_engine::ports::ClaimHint;

use super::name::{self, Place};
use super::record::{self, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, segment_header};

/// The numbers of all segments, in order.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        numbers.extend(entry?.file_name().to_str().and_then(name::segment_number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The ids of all objects.
pub(crate) fn objects(folder: &Path) -> io::Result<Vec<u128>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        for object in std::fs::read_dir(entry.path())? {
            ids.extend(object?.file_name().to_str().and_then(name::object_id));
        }
    }
    Ok(ids)
}

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) has_header: bool,
    pub(crate) records: u64,
    pub(crate) file_len: u64,
    /// Up to here, one valid record follows another.
    pub(crate) valid_len: u64,
    /// Whether there are valid records behind the first that is not: then it is damage, and no write cut short.
    pub(crate) valid_after_damage: bool,
    /// Whether there is nothing behind the valid records but zeros: room that was laid out and not used.
    pub(crate) is_room_behind: bool,
}

/// Checks every record of a segment, and shows those that are valid: offset and length of the payload.
pub(crate) fn segment(
    path: &Path,
    number: u64,
    mut visit: impl FnMut(u64, u32),
) -> io::Result<Segment> {
    let bytes = std::fs::read(path)?;
    let mut found = Segment {
        file_len: bytes.len() as u64,
        has_header: bytes.starts_with(&segment_header(number)),
        ..Segment::default()
    };
    if !found.has_header {
        return Ok(found);
    }
    let mut at = SEGMENT_HEADER_BYTES as usize;
    while let Some(header) = record::check(&bytes[at..], number, at as u64) {
        found.records += 1;
        visit(at as u64, header.payload_len);
        at += header.record_len();
    }
    found.valid_len = at as u64;
    found.is_room_behind = bytes[at..].iter().all(|byte| *byte == 0);
    // A record carries its own offset in its CRC, so whatever checks out was written there.
    found.valid_after_damage = (at + 1..bytes.len())
        .filter(|at| bytes[*at] == b'c')
        .any(|at| record::check(&bytes[at..], number, at as u64).is_some());
    Ok(found)
}

/// The hints of a segment's records in order, read piece by piece.
pub(super) struct Hints {
    file: io::BufReader<File>,
    segment: u64,
    offset: u64,
}

impl Hints {
    pub(super) fn open(path: &Path, segment: u64) -> io::Result<Self> {
        let mut file = io::BufReader::new(File::open(path)?);
        let mut header = [0; SEGMENT_HEADER_BYTES as usize];
        file.read_exact(&mut header)?;
        Ok(Self {
            file,
            segment,
            offset: SEGMENT_HEADER_BYTES,
        })
    }

    /// The next `limit` records; fewer at the end. An error when what follows is no record.
    pub(super) fn take(&mut self, limit: usize) -> io::Result<Vec<(Place, ClaimHint)>> {
        let mut hints = Vec::new();
        while hints.len() < limit {
            let mut header = [0; RECORD_HEADER_BYTES];
            match self.file.read_exact(&mut header) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                read => read?,
            }
            let damaged = || {
                io::Error::other(format!(
                    "segment {} is damaged at {}",
                    self.segment, self.offset
                ))
            };
            let header = record::RecordHeader::parse(&header).ok_or_else(damaged)?;
            let mut hint = vec![0; header.hint_len as usize];
            self.file.read_exact(&mut hint)?;
            let hint = serde_json::from_slice(&hint).map_err(|_| damaged())?;
            let len = header.payload_len;
            hints.push((
                Place::Packed {
                    segment: self.segment,
                    offset: self.offset,
                    len,
                },
                hint,
            ));
            self.file.seek_relative(i64::from(len))?;
            self.offset += header.record_len() as u64;
        }
        Ok(hints)
    }
}
