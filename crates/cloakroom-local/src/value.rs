//! Records as stored bytes: a fixed header, so that most conditions are checked without parsing, and the record's JSON.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of the format: 2 |
//! | 1 | what kind of attention the record wants; 0 for none |
//! | 8 | when, in microseconds, big-endian |
//! | 8 | the record's revision, big-endian |
//! | 4 | CRC-32 of all the rest, big-endian: SQLite's pages have none of their own |
//! | rest | the record as JSON |
//!
//! Version 1 had no CRC, and is read still. This is a stored format. `tests/golden/` holds one record of every kind in every version ever written.

use cloakroom_core::time::Timestamp;
use cloakroom_engine::record::{AttentionKind, FORMAT_VERSION, Record};
use crc32fast::Hasher;

use crate::key;

const HEADER_BYTES: usize = 18;
const CRC_BYTES: usize = 4;

/// The version byte of what is written.
const VERSION: u8 = 2;
/// The version byte of what was written before there was a CRC.
const WITHOUT_CRC: u8 = 1;

// Both hold the same JSON.
const _: () = assert!(
    FORMAT_VERSION == 1,
    "another form of records is another version here"
);

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) attention: Option<(AttentionKind, Timestamp)>,
    pub(crate) revision: u64,
}

/// Why stored bytes are no record.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("a record is cut off or empty")]
    Short,
    #[error("a record has format {0}, which this version of cloakroom does not know")]
    Version(u8),
    #[error("a record wants attention of unknown kind {0}")]
    Attention(u8),
    #[error("a record is not what was written")]
    Crc,
    #[error("a record does not parse: {0}")]
    Json(String),
}

/// The stored form of a record.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(640);
    let attention = record.attention();
    let (tag, due) = attention.map_or((0, 0), |(kind, at)| {
        (key::attention_tag(kind), at.as_micros())
    });
    bytes.push(VERSION);
    bytes.push(tag);
    bytes.extend_from_slice(&due.to_be_bytes());
    bytes.extend_from_slice(&record.revision().to_be_bytes());
    bytes.extend_from_slice(&[0; CRC_BYTES]);
    serde_json::to_writer(&mut bytes, record)
        .expect("a record is plain data and memory does not fail");
    let crc = crc_of(&bytes);
    bytes[HEADER_BYTES..HEADER_BYTES + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The CRC of everything but the CRC.
fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    crc.update(&bytes[..HEADER_BYTES]);
    crc.update(&bytes[HEADER_BYTES + CRC_BYTES..]);
    crc.finalize()
}

/// The JSON of a record that is what was written.
fn checked(bytes: &[u8]) -> Result<&[u8], ValueError> {
    let (Some(version), true) = (bytes.first(), bytes.len() >= HEADER_BYTES) else {
        return Err(ValueError::Short);
    };
    match *version {
        WITHOUT_CRC => Ok(&bytes[HEADER_BYTES..]),
        VERSION => {
            let rest = &bytes[HEADER_BYTES..];
            let (crc, json) = rest
                .split_first_chunk::<CRC_BYTES>()
                .ok_or(ValueError::Short)?;
            let holds = u32::from_be_bytes(*crc) == crc_of(bytes);
            holds.then_some(json).ok_or(ValueError::Crc)
        }
        other => Err(ValueError::Version(other)),
    }
}

/// Reads the header alone, and checks the whole.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, ValueError> {
    checked(bytes)?;
    fixed_part(bytes)
}

fn fixed_part(bytes: &[u8]) -> Result<Header, ValueError> {
    let fixed = &bytes[..HEADER_BYTES];
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&fixed[at..at + 8]);
        number
    };
    let attention = match fixed[1] {
        0 => None,
        tag => {
            let kind = key::attention_kind(tag).ok_or(ValueError::Attention(tag))?;
            Some((kind, Timestamp::from_micros(i64::from_be_bytes(number(2)))))
        }
    };
    Ok(Header {
        attention,
        revision: u64::from_be_bytes(number(10)),
    })
}

/// Reads the record.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, ValueError> {
    let json = checked(bytes)?;
    fixed_part(bytes)?;
    // serde_json's messages can quote what they met, which may be payload: only the place is told.
    serde_json::from_slice(json).map_err(|error| {
        ValueError::Json(format!(
            "{:?} at column {}",
            error.classify(),
            error.column()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cloakroom_engine::conformance::samples;

    use super::*;

    /// Every record ever written must stay readable: the files are never regenerated, only added to. To add one, run with
    /// `CLOAKROOM_NEW_GOLDEN=1`, which writes the missing files.
    #[test]
    fn golden_records_read_and_write_the_same() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        for (name, record) in samples::every_kind() {
            let path = folder.join(format!("v2/{name}.txt"));
            let encoded = encode(&record);
            let (fixed, json) = encoded.split_at(HEADER_BYTES + CRC_BYTES);
            let text = format!(
                "{}\n{}\n",
                hex::encode(fixed),
                String::from_utf8_lossy(json)
            );
            if std::env::var_os("CLOAKROOM_NEW_GOLDEN").is_some() && !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, golden, "{name} is written as before");
            for path in [path, folder.join(format!("v1/{name}.txt"))] {
                let golden = std::fs::read_to_string(&path).unwrap();
                let (fixed, json) = golden.trim_end().split_once('\n').unwrap();
                let stored = [hex::decode(fixed).unwrap(), json.as_bytes().to_vec()].concat();
                let read = decode(&stored).unwrap();
                assert_eq!(read, record, "{} reads as it was meant", path.display());
            }
        }
    }

    #[test]
    fn no_bit_can_flip_unnoticed() {
        for (name, record) in samples::every_kind() {
            let good = encode(&record);
            for at in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[at / 8] ^= 1 << (at % 8);
                assert!(decode(&bad).is_err(), "{name}, bit {at}");
                assert!(header(&bad).is_err(), "{name}, bit {at}");
            }
        }
    }

    #[test]
    fn the_header_says_what_the_record_says() {
        for (name, record) in samples::every_kind() {
            let header = header(&encode(&record)).unwrap();
            assert_eq!(header.attention, record.attention(), "{name}");
            assert_eq!(header.revision, record.revision(), "{name}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let (_, record) = samples::every_kind().swap_remove(2);
        let good = encode(&record);
        for len in 0..good.len() {
            assert!(decode(&good[..len]).is_err(), "cut at {len}");
        }
        let mut newer = good.clone();
        newer[0] = 3;
        assert!(matches!(decode(&newer), Err(ValueError::Version(3))));
        let mut odd = good;
        odd[1] = 9;
        let crc = crc_of(&odd);
        odd[HEADER_BYTES..HEADER_BYTES + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
        assert!(matches!(decode(&odd), Err(ValueError::Attention(9))));
    }
}
