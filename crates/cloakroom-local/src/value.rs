//! Records as stored bytes: a fixed header, so that most conditions are checked without parsing, and the record's JSON.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of the format ([`FORMAT_VERSION`]) |
//! | 1 | what kind of attention the record wants; 0 for none |
//! | 8 | when, in microseconds, big-endian |
//! | 8 | the record's revision, big-endian |
//! | rest | the record as JSON |
//!
//! This is a stored format. `tests/golden/` holds one record of every kind in every version ever written.

use cloakroom_core::time::Timestamp;
use cloakroom_engine::record::{AttentionKind, FORMAT_VERSION, Record};

use crate::key;

const HEADER_BYTES: usize = 18;

/// The version byte.
const VERSION: u8 = {
    assert!(FORMAT_VERSION < 256, "the version is stored in one byte");
    FORMAT_VERSION as u8
};

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
    serde_json::to_writer(&mut bytes, record)
        .expect("a record is plain data and memory does not fail");
    bytes
}

/// Reads the header alone.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, ValueError> {
    let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(ValueError::Short);
    };
    if fixed[0] != VERSION {
        return Err(ValueError::Version(fixed[0]));
    }
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
    header(bytes)?;
    // serde_json's messages can quote what they met, which may be payload: only the place is told.
    serde_json::from_slice(&bytes[HEADER_BYTES..]).map_err(|error| {
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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
        for (name, record) in samples::every_kind() {
            let path = folder.join(format!("{name}.txt"));
            let encoded = encode(&record);
            let (fixed, json) = encoded.split_at(HEADER_BYTES);
            let text = format!(
                "{}\n{}\n",
                hex::encode(fixed),
                String::from_utf8_lossy(json)
            );
            if std::env::var_os("CLOAKROOM_NEW_GOLDEN").is_some() && !path.exists() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap();
            let (fixed, json) = golden.trim_end().split_once('\n').unwrap();
            let stored = [hex::decode(fixed).unwrap(), json.as_bytes().to_vec()].concat();
            assert_eq!(
                decode(&stored).unwrap(),
                record,
                "{name} reads as it was meant"
            );
            assert_eq!(text, golden, "{name} is written as before");
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
        newer[0] = 2;
        assert!(matches!(decode(&newer), Err(ValueError::Version(2))));
        let mut odd = good;
        odd[1] = 9;
        assert!(matches!(decode(&odd), Err(ValueError::Attention(9))));
    }
}
