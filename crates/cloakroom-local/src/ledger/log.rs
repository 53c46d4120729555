//! Commits that SQLite would silently leave out: a log is read up to the first frame that is not what was written, as after a
//! crash. A crash can only cut the last commit short, so when whole commits stand behind that frame, the log is damaged.
//!
//! The layout is SQLite's own (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use cloakroom_engine::ports::LedgerError;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// Fails when a crash cannot have left the log of the ledger in `folder` as it is.
pub(crate) fn check(folder: &Path) -> Result<(), LedgerError> {
    let path = folder.join("ledger.db-wal");
    let lost = match File::open(&path) {
        Ok(file) => lost(BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    match lost {
        Ok(None) => Ok(()),
        Ok(Some((offset, commits))) => Err(LedgerError::Corrupt(format!(
            "{} is not what was written at byte {offset}, and {commits} commits from there on cannot be read; restore a \
             backup, or cut it off there (`truncate --size={offset}`) to go on without them",
            path.display()
        ))),
        Err(error) => Err(LedgerError::Unavailable(error.to_string())),
    }
}

/// SQLite's running checksum of a log.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(self, bytes: &[u8], big_endian: bool) -> Self {
        let word = |bytes: &[u8]| {
            let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
            match big_endian {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            }
        };
        bytes.chunks_exact(8).fold(self, |Self(a, b), pair| {
            let a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            let b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
            Self(a, b)
        })
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Where the log stops being what was written, and how many commits there are from there on; `None` when it ends there.
fn lost(mut log: impl io::Read) -> io::Result<Option<(u64, u32)>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let big_endian = number(&header, 0) & 1 == 1;
    let mut sum = Sum(0, 0).over(&header[..24], big_endian);
    let page = number(&header, 8) as usize;
    let is_header = number(&header, 0) & !1 == MAGIC
        && (512..=65_536).contains(&page)
        && sum == Sum(number(&header, 24), number(&header, 28));
    if !is_header {
        // Nothing of it can be read. A start of a log that was cut short has nothing behind it.
        let rest = io::copy(&mut log.take(u64::MAX), &mut io::sink())?;
        return Ok((rest > FRAME_HEADER_BYTES as u64).then_some((0, 1)));
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page];
    let (mut offset, mut damaged_at, mut commits) = (HEADER_BYTES as u64, None, 0);
    while fill(&mut log, &mut frame)? {
        let is_of_this_log = frame[8..16] == header[16..24];
        if damaged_at.is_none() {
            let next = sum.over(&frame[..8], big_endian);
            let next = next.over(&frame[FRAME_HEADER_BYTES..], big_endian);
            if is_of_this_log && next == Sum(number(&frame, 16), number(&frame, 20)) {
                sum = next;
            } else {
                damaged_at = Some(offset);
            }
        }
        if damaged_at.is_some() && is_of_this_log && number(&frame, 4) != 0 {
            commits += 1;
        }
        offset += frame.len() as u64;
    }
    // The last commit may have been cut short, and nobody was told of it.
    Ok(damaged_at.filter(|_| commits > 1).map(|at| (at, commits)))
}

/// Reads all of `buffer`. `false` at the end of the log, or in the middle of a frame that was cut short.
fn fill(log: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A log of 20 commits, as a crash would leave it.
    fn log() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("ledger.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(a)")
            .unwrap();
        for number in 0..20 {
            db.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
        }
        std::fs::read(folder.path().join("ledger.db-wal")).unwrap()
    }

    #[test]
    fn what_a_crash_leaves_is_no_damage() {
        let log = log();
        assert!(log.len() > 80_000);
        for len in (0..log.len()).step_by(97).chain([log.len()]) {
            assert_eq!(lost(&log[..len]).unwrap(), None, "cut at {len}");
        }
        // The last commit written in part: its frame is there, its page is not.
        let mut torn = log;
        let len = torn.len();
        torn[len - 4096..].fill(0);
        assert_eq!(lost(&*torn).unwrap(), None);
    }

    #[test]
    fn damage_in_the_middle_is_found_wherever_it_is() {
        let log = log();
        for at in (0..log.len() - 3 * 4120).step_by(61) {
            let mut damaged = log.clone();
            damaged[at] ^= 0x10;
            let found = lost(&*damaged).unwrap();
            assert!(
                found.is_some_and(|(from, commits)| from <= at as u64 && commits > 0),
                "{at}"
            );
        }
    }
}
