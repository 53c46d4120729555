//! The ledger as the doctor sees it: every row, on a ledger that nobody uses, without changing anything.

use std::path::{Path, PathBuf};

use cloakroom_core::event::Event;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::LedgerError;
use cloakroom_engine::record::{AttentionKind, Key};
use rusqlite::{Connection, Row};

use super::read::{each_event, event};
use super::schema::{self, failed};
use super::tables;
use crate::key;

/// What every record is shown to: its key as [`key::encode`] gives it, and its value.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), LedgerError> + 'a;

/// A ledger that was opened to be looked at.
pub(crate) struct Examined {
    db: Connection,
    leftover: Option<PathBuf>,
}

impl Drop for Examined {
    fn drop(&mut self) {
        if let Some(leftover) = &self.leftover
            && let Err(error) = std::fs::remove_file(leftover)
        {
            tracing::debug!(%error, "the index of the log was gone already");
        }
    }
}

impl Examined {
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let (db, leftover) = schema::open_unused(folder)?;
        Ok(Self { db, leftover })
    }

    /// What is wrong with the file itself.
    pub(crate) fn faults(&self, deep: bool) -> Result<Vec<String>, LedgerError> {
        schema::faults(&self.db, deep)
    }

    /// Shows every stored record, kind by kind.
    pub(crate) fn each_record(&self, visit: &mut Visit<'_>) -> Result<(), LedgerError> {
        let sql = "SELECT head, source, key FROM stream WHERE head IS NOT NULL";
        self.each(sql, visit, |row| Ok(Key::Head(stream(row)?)))?;
        let sql = "SELECT value, source, key, position FROM event e LEFT JOIN stream s ON s.id = e.stream";
        self.each(sql, visit, |row| {
            let position = Position::parse(&text(row, 3)?);
            // What is no position stands under no key that a record can have.
            let position = position.unwrap_or_else(|| Position::dense(0));
            Ok(Key::Event(stream(row)?, position))
        })?;
        let sql = "SELECT value, source, key, name FROM cursor c \
                   LEFT JOIN stream s ON s.id = c.stream LEFT JOIN subscriber n ON n.id = c.subscriber";
        self.each(sql, visit, |row| {
            let name = SubscriptionName::from(text(row, 3)?);
            Ok(Key::Cursor(name, stream(row)?))
        })?;
        self.rows("SELECT value, key FROM record", &mut |row| {
            let stored = |at| row.get_ref(at).and_then(|it| Ok(it.as_blob()?));
            let (value, key) = (stored(0), stored(1));
            visit(key.map_err(|e| failed(&e))?, value.map_err(|e| failed(&e))?)
        })
    }

    /// Shows every event of a stream above `after` and up to `up_to` that can be read.
    pub(crate) fn each_event(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: &Position,
        visit: &mut dyn FnMut(&Event),
    ) -> Result<(), LedgerError> {
        let row = tables::stream(&self.db, stream).map_err(|e| failed(&e))?;
        let Some((number, _)) = row else {
            return Ok(());
        };
        let all = usize::MAX;
        each_event(&self.db, number, after, Some(up_to), all, &mut |bytes| {
            if let Ok(event) = event(bytes) {
                visit(&event);
            }
            Ok(())
        })
    }

    /// Whether the attention index holds this head or cursor for that time.
    pub(crate) fn wants_attention(
        &self,
        kind: AttentionKind,
        due: Timestamp,
        record: &Key,
    ) -> Result<bool, LedgerError> {
        let found = || {
            let (name, stream) = match record {
                Key::Head(stream) => (None, stream),
                Key::Cursor(name, stream) => (Some(name), stream),
                _ => return Ok(false),
            };
            let subscriber = match name {
                Some(name) => tables::subscriber(&self.db, name)?,
                None => Some(0),
            };
            let stream = tables::stream(&self.db, stream)?.map(|(number, _)| number);
            let sql = "SELECT 1 FROM attention WHERE kind = ?1 AND due = ?2 AND stream = ?3 AND subscriber = ?4";
            let mut statement = self.db.prepare_cached(sql)?;
            statement.exists((
                key::attention_tag(kind),
                due.as_micros(),
                stream,
                subscriber,
            ))
        };
        found().map_err(|error: rusqlite::Error| failed(&error))
    }

    /// How many entries the attention index holds.
    pub(crate) fn attention_len(&self) -> Result<u64, LedgerError> {
        let sql = "SELECT count(*) FROM attention";
        let len = self.db.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(len.map_err(|error| failed(&error))?.unsigned_abs())
    }

    fn each(
        &self,
        sql: &str,
        visit: &mut Visit<'_>,
        key: impl Fn(&Row<'_>) -> rusqlite::Result<Key>,
    ) -> Result<(), LedgerError> {
        self.rows(sql, &mut |row| {
            let key = key::encode(&key(row).map_err(|e| failed(&e))?);
            let value = row.get_ref(0).and_then(|value| Ok(value.as_blob()?));
            visit(&key, value.map_err(|e| failed(&e))?)
        })
    }

    fn rows(
        &self,
        sql: &str,
        show: &mut dyn FnMut(&Row<'_>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut statement = self.db.prepare(sql).map_err(|e| failed(&e))?;
        let mut rows = statement.query([]).map_err(|e| failed(&e))?;
        while let Some(row) = rows.next().map_err(|e| failed(&e))? {
            show(row)?;
        }
        Ok(())
    }
}

fn stream(row: &Row<'_>) -> rusqlite::Result<StreamId> {
    Ok(StreamId::new(text(row, 1)?, text(row, 2)?))
}

/// A stored text. Where a row it belongs to is missing, it is empty, which no name is.
fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    let stored: Option<Vec<u8>> = row.get(at)?;
    Ok(String::from_utf8_lossy(&stored.unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cloakroom_engine::conformance::samples;
    use cloakroom_engine::ports::{Ledger as _, Write};
    use tempfile::TempDir;

    use super::*;
    use crate::data_dir::Options;
    use crate::ledger::LocalLedger;
    use crate::value;

    async fn filled(folder: &Path) -> LocalLedger {
        let ledger = LocalLedger::open(folder, &Options::at(samples::at(0))).unwrap();
        for (_, record) in samples::every_kind() {
            ledger.transact(vec![Write::Create(record)]).await.unwrap();
        }
        ledger
    }

    fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let file = |entry: std::fs::DirEntry| {
            let content = std::fs::read(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), content)
        };
        entries.map(file).collect()
    }

    /// Expects every record under its key, an attention index that fits, and nothing changed.
    fn check(folder: &Path) {
        let before = content(folder);
        let examined = Examined::open(folder).unwrap();
        let mut found = BTreeMap::new();
        let mut wanting = 0;
        let mut visit = |stored: &[u8], bytes: &[u8]| {
            let record = value::decode(bytes).unwrap();
            assert_eq!(key::encode(&record.key()), stored);
            if let Some((kind, due)) = record.attention() {
                wanting += 1;
                assert!(examined.wants_attention(kind, due, &record.key())?);
                let other = Timestamp::from_micros(due.as_micros() + 1);
                assert!(!examined.wants_attention(kind, other, &record.key())?);
            }
            found.insert(stored.to_vec(), record);
            Ok(())
        };
        examined.each_record(&mut visit).unwrap();
        let expected = samples::every_kind().into_iter();
        let expected: BTreeMap<_, _> = expected
            .map(|(_, record)| (key::encode(&record.key()), record))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(examined.attention_len().unwrap(), wanting);
        assert_eq!(examined.faults(true).unwrap(), [""; 0]);
        drop(examined);
        assert_eq!(content(folder), before);
    }

    #[tokio::test]
    async fn a_closed_ledger_is_one_file_and_is_read_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = filled(folder.path()).await;
        ledger.close();
        drop(ledger);
        assert_eq!(
            content(folder.path()).into_keys().collect::<Vec<_>>(),
            ["ledger.db"]
        );
        check(folder.path());
    }

    #[tokio::test]
    async fn what_a_crash_left_is_read_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = filled(folder.path()).await;
        // A place that an address must spell differently, and what the process would leave if it ended now.
        let copies: [TempDir; 2] = [(); 2].map(|()| {
            let prefix = "100% #1? ";
            tempfile::Builder::new().prefix(prefix).tempdir().unwrap()
        });
        for (name, bytes) in content(folder.path()) {
            for copy in &copies {
                std::fs::write(copy.path().join(&name), &bytes).unwrap();
            }
        }
        drop(ledger);
        let [whole, without_index] = copies;
        std::fs::remove_file(without_index.path().join("ledger.db-shm")).unwrap();
        for copy in [whole, without_index] {
            assert!(!content(copy.path())["ledger.db-wal"].is_empty());
            check(copy.path());
            let ledger = LocalLedger::open(copy.path(), &Options::at(samples::at(0))).unwrap();
            assert_eq!(ledger.integrity(true).unwrap(), [""; 0]);
            for (_, record) in samples::every_kind() {
                let stored = ledger.get(&record.key()).await.unwrap();
                assert_eq!(stored, Some(record));
            }
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path()).await);
        let path = folder.path().join("ledger.db");
        let mut bytes = std::fs::read(&path).unwrap();
        // All pages but the first, which holds the schema.
        for byte in &mut bytes[4096..] {
            *byte ^= 0x55;
        }
        std::fs::write(&path, bytes).unwrap();
        let examined = Examined::open(folder.path()).unwrap();
        assert_ne!(examined.faults(false).unwrap(), [""; 0]);
        let visited = examined.each_record(&mut |_, _| Ok(()));
        assert!(matches!(visited, Err(LedgerError::Corrupt(_))));
    }

    #[tokio::test]
    async fn other_files_and_newer_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let check = |expected: &str| {
            let options = Options::at(samples::at(0));
            let opened = LocalLedger::open(folder.path(), &options).map(drop);
            for refused in [opened, Examined::open(folder.path()).map(drop)] {
                let told = refused.unwrap_err().to_string();
                assert!(told.contains(expected), "{told}");
            }
        };
        std::fs::write(
            &path,
            "no database at all, but long enough to look at".repeat(100),
        )
        .unwrap();
        check("not a database");
        std::fs::remove_file(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE theirs(a)").unwrap();
        drop(other);
        check("is no ledger of cloakroom");
        std::fs::remove_file(&path).unwrap();
        drop(filled(folder.path()).await);
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 2).unwrap();
        drop(newer);
        check("it has format 2");
    }
}
