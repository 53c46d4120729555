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
