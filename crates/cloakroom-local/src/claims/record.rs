//! How payloads look in their files. Stored formats.
//!
//! A segment begins with [`SEGMENT_MAGIC`] and its number (8 bytes), and goes on with records:
//!
//! | bytes | what (numbers are little-endian) |
//! | --- | --- |
//! | 4 | [`RECORD_MAGIC`] |
//! | 4 | length of the hint |
//! | 4 | length of the payload |
//! | 4 | CRC-32 of the two lengths, hint, payload, the segment's number and the record's offset |
//! | | the hint as JSON, then the payload |
//!
//! An object is the payload, the hint as JSON, and a footer:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | length of the payload |
//! | 4 | CRC-32 of the payload |
//! | 4 | length of the hint |
//! | 4 | CRC-32 of the three fields above and the hint |
//! | 8 | [`OBJECT_MAGIC`] |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use cloakroom_engine::ports::ClaimHint;
use crc32fast::Hasher;

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"CLKSEG01";
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 16;
pub(crate) const RECORD_HEADER_BYTES: usize = 16;
const RECORD_MAGIC: [u8; 4] = *b"clm1";
const OBJECT_MAGIC: [u8; 8] = *b"CLKOBJ01";
const FOOTER_BYTES: usize = 28;

/// Longer hints than this are damage. An identity can be long, but it came in a header or a body of bounded size.
const HINT_MAX_BYTES: u32 = 16 * 1024 * 1024;

/// A record of a segment whose place is not known yet.
pub(crate) struct Unplaced {
    bytes: Vec<u8>,
    crc: Hasher,
    payload_len: u32,
}

impl Unplaced {
    pub(crate) fn new(hint: &ClaimHint, payload: &[u8]) -> Self {
        let hint = hint_json(hint);
        let (hint_len, payload_len) = (length(hint.len()), length(payload.len()));
        let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES + hint.len() + payload.len());
        bytes.extend_from_slice(&RECORD_MAGIC);
        bytes.extend_from_slice(&hint_len.to_le_bytes());
        bytes.extend_from_slice(&payload_len.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&hint);
        bytes.extend_from_slice(payload);
        let mut crc = Hasher::new();
        crc.update(&bytes[4..12]);
        crc.update(&bytes[RECORD_HEADER_BYTES..]);
        Self {
            bytes,
            crc,
            payload_len,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn payload_len(&self) -> u32 {
        self.payload_len
    }

    /// Appends the record to `buffer`, for its place in its segment.
    pub(crate) fn place(mut self, segment: u64, offset: u64, buffer: &mut Vec<u8>) {
        let crc = placed(self.crc, segment, offset);
        self.bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        buffer.extend_from_slice(&self.bytes);
    }
}

fn placed(mut crc: Hasher, segment: u64, offset: u64) -> u32 {
    crc.update(&segment.to_le_bytes());
    crc.update(&offset.to_le_bytes());
    crc.finalize()
}

fn hint_json(hint: &ClaimHint) -> Vec<u8> {
    serde_json::to_vec(hint).expect("a hint is plain data and memory does not fail")
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("hints and packed payloads are far below 4 GiB")
}

fn number(bytes: &[u8]) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&bytes[..4]);
    u32::from_le_bytes(le)
}

/// The lengths that the header of a record tells. `None` when this is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) hint_len: u32,
    pub(crate) payload_len: u32,
}

impl RecordHeader {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            hint_len: number(bytes.get(4..8)?),
            payload_len: number(bytes.get(8..12)?),
        };
        let sane = bytes[..4] == RECORD_MAGIC
            && header.hint_len <= HINT_MAX_BYTES
            && header.payload_len as usize <= super::SMALL_MAX_BYTES;
        sane.then_some(header)
    }

    pub(crate) fn record_len(self) -> usize {
        RECORD_HEADER_BYTES + self.hint_len as usize + self.payload_len as usize
    }
}

/// Checks a whole record. `None` when it is not what was written at this place.
pub(crate) fn check(record: &[u8], segment: u64, offset: u64) -> Option<RecordHeader> {
    let header = RecordHeader::parse(record)?;
    let mut crc = Hasher::new();
    crc.update(&record[4..12]);
    crc.update(record.get(RECORD_HEADER_BYTES..header.record_len())?);
    (placed(crc, segment, offset) == number(record.get(12..16)?)).then_some(header)
}

/// What comes before the records of a segment.
pub(crate) fn segment_header(segment: u64) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    header[..8].copy_from_slice(&SEGMENT_MAGIC);
    header[8..].copy_from_slice(&segment.to_le_bytes());
    header
}

/// What follows the payload of an object.
pub(crate) fn object_trailer(hint: &ClaimHint, payload_len: u64, payload_crc: u32) -> Vec<u8> {
    let hint = hint_json(hint);
    let mut trailer = Vec::with_capacity(hint.len() + FOOTER_BYTES);
    trailer.extend_from_slice(&hint);
    let footer = trailer.len();
    trailer.extend_from_slice(&payload_len.to_le_bytes());
    trailer.extend_from_slice(&payload_crc.to_le_bytes());
    trailer.extend_from_slice(&length(hint.len()).to_le_bytes());
    let mut crc = Hasher::new();
    crc.update(&trailer[footer..]);
    crc.update(&hint);
    trailer.extend_from_slice(&crc.finalize().to_le_bytes());
    trailer.extend_from_slice(&OBJECT_MAGIC);
    trailer
}

/// What the end of an object tells.
#[derive(Debug, Clone)]
pub(crate) struct ObjectInfo {
    pub(crate) payload_len: u64,
    pub(crate) payload_crc: u32,
    pub(crate) hint: ClaimHint,
}

/// Reads the end of an object. `Ok(None)` when it is not what was written.
pub(crate) fn object_info(file: &File) -> io::Result<Option<ObjectInfo>> {
    let file_len = file.metadata()?.len();
    let Some(footer_at) = file_len.checked_sub(FOOTER_BYTES as u64) else {
        return Ok(None);
    };
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact_at(&mut footer, footer_at)?;
    let mut payload_len = [0; 8];
    payload_len.copy_from_slice(&footer[..8]);
    let payload_len = u64::from_le_bytes(payload_len);
    let hint_len = number(&footer[12..16]);
    let adds_up = payload_len.checked_add(u64::from(hint_len)) == Some(footer_at);
    if footer[20..] != OBJECT_MAGIC || hint_len > HINT_MAX_BYTES || !adds_up {
        return Ok(None);
    }
    let mut hint = vec![0; hint_len as usize];
    file.read_exact_at(&mut hint, payload_len)?;
    let mut crc = Hasher::new();
    crc.update(&footer[..16]);
    crc.update(&hint);
    if crc.finalize() != number(&footer[16..20]) {
        return Ok(None);
    }
    let payload_crc = number(&footer[8..12]);
    Ok(serde_json::from_slice(&hint).ok().map(|hint| ObjectInfo {
        payload_len,
        payload_crc,
        hint,
    }))
}
