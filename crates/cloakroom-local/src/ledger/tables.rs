//! The statements: each reads or changes one row by its key.

use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::record::AttentionKind;
use rusqlite::{Connection, OptionalExtension as _, Params, Result, Row};

use crate::key;

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'a> {
    Event(i64, &'a Position),
    Cursor { subscriber: i64, stream: i64 },
    Record(&'a [u8]),
}

fn one<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(params, read).optional()
}

fn change(db: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    db.prepare_cached(sql)?.execute(params)
}

fn blob<T>(row: &Row<'_>, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
    Ok(read(row.get_ref(0)?.as_blob()?))
}

/// A stream's number and its head's value.
pub(super) fn stream(db: &Connection, stream: &StreamId) -> Result<Option<(i64, Option<Vec<u8>>)>> {
    let sql = "SELECT id, head FROM stream WHERE source = ?1 AND key = ?2";
    one(db, sql, names(stream), |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn add_stream(db: &Connection, stream: &StreamId, head: Option<&[u8]>) -> Result<i64> {
    let sql = "INSERT INTO stream(source, key, head) VALUES(?1, ?2, ?3)";
    let (source, key) = names(stream);
    change(db, sql, (source, key, head))?;
    Ok(db.last_insert_rowid())
}

pub(super) fn set_head(db: &Connection, stream: i64, head: Option<&[u8]>) -> Result<()> {
    let sql = "UPDATE stream SET head = ?2 WHERE id = ?1";
    change(db, sql, (stream, head)).map(drop)
}

/// The position of a stream's last event.
pub(super) fn last_position(db: &Connection, stream: i64) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT position FROM event WHERE stream = ?1 ORDER BY position DESC LIMIT 1";
    one(db, sql, [stream], |row| row.get(0))
}

/// The first bytes that the keys of records have, each once.
pub(super) fn kinds(db: &Connection) -> Result<Vec<u8>> {
    let sql = "SELECT key FROM record WHERE key >= ?1 ORDER BY key LIMIT 1";
    let mut kinds = Vec::new();
    let mut from = Some(0);
    while let Some(least) = from
        && let Some(Some(kind)) = one(db, sql, [[least].as_slice()], |row| {
            blob(row, |key| key.first().copied())
        })?
    {
        kinds.push(kind);
        from = kind.checked_add(1);
    }
    Ok(kinds)
}

pub(super) fn subscriber(db: &Connection, name: &SubscriptionName) -> Result<Option<i64>> {
    let sql = "SELECT id FROM subscriber WHERE name = ?1";
    one(db, sql, [name.as_str().as_bytes()], |row| row.get(0))
}

pub(super) fn add_subscriber(db: &Connection, name: &SubscriptionName) -> Result<i64> {
    let sql = "INSERT INTO subscriber(name) VALUES(?1)";
    change(db, sql, [name.as_str().as_bytes()])?;
    Ok(db.last_insert_rowid())
}

/// Reads the value in `slot`.
pub(super) fn value<T>(
    db: &Connection,
    slot: Slot<'_>,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>> {
    match slot {
        Slot::Event(stream, position) => {
            let sql = "SELECT value FROM event WHERE stream = ?1 AND position = ?2";
            let params = (stream, position.as_str().as_bytes());
            one(db, sql, params, |row| blob(row, read))
        }
        Slot::Cursor { subscriber, stream } => {
            let sql = "SELECT value FROM cursor WHERE subscriber = ?1 AND stream = ?2";
            one(db, sql, (subscriber, stream), |row| blob(row, read))
        }
        Slot::Record(key) => {
            let sql = "SELECT value FROM record WHERE key = ?1";
            one(db, sql, [key], |row| blob(row, read))
        }
    }
}

/// Writes into an empty slot. `false` when it was not empty: then nothing is written.
pub(super) fn insert(db: &Connection, slot: Slot<'_>, value: &[u8]) -> Result<bool> {
    let changed = match slot {
        Slot::Event(stream, position) => {
            let sql = "INSERT INTO event(stream, position, value) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
            change(db, sql, (stream, position.as_str().as_bytes(), value))?
        }
        Slot::Cursor { subscriber, stream } => {
            let sql = "INSERT INTO cursor(subscriber, stream, value) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
            change(db, sql, (subscriber, stream, value))?
        }
        Slot::Record(key) => {
            let sql = "INSERT INTO record(key, value) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
            change(db, sql, (key, value))?
        }
    };
    Ok(changed == 1)
}

/// Writes over what is in the slot.
pub(super) fn update(db: &Connection, slot: Slot<'_>, value: &[u8]) -> Result<()> {
    match slot {
        Slot::Event(stream, position) => {
            let sql = "UPDATE event SET value = ?3 WHERE stream = ?1 AND position = ?2";
            change(db, sql, (stream, position.as_str().as_bytes(), value))
        }
        Slot::Cursor { subscriber, stream } => {
            let sql = "UPDATE cursor SET value = ?3 WHERE subscriber = ?1 AND stream = ?2";
            change(db, sql, (subscriber, stream, value))
        }
        Slot::Record(key) => {
            let sql = "UPDATE record SET value = ?2 WHERE key = ?1";
            change(db, sql, (key, value))
        }
    }
    .map(drop)
}

pub(super) fn delete(db: &Connection, slot: Slot<'_>) -> Result<()> {
    match slot {
        Slot::Event(stream, position) => {
            let sql = "DELETE FROM event WHERE stream = ?1 AND position = ?2";
            change(db, sql, (stream, position.as_str().as_bytes()))
        }
        Slot::Cursor { subscriber, stream } => {
            let sql = "DELETE FROM cursor WHERE subscriber = ?1 AND stream = ?2";
            change(db, sql, (subscriber, stream))
        }
        Slot::Record(key) => change(db, "DELETE FROM record WHERE key = ?1", [key]),
    }
    .map(drop)
}

/// Whether and when a record wants attention.
pub(super) type Wanted = Option<(AttentionKind, Timestamp)>;

/// Brings the attention index up to date for one head (`subscriber` 0) or cursor.
pub(super) fn set_attention(
    db: &Connection,
    stream: i64,
    subscriber: i64,
    before: Wanted,
    after: Wanted,
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    if let Some((kind, due)) = before {
        let sql = "DELETE FROM attention WHERE kind = ?1 AND due = ?2 AND stream = ?3 AND subscriber = ?4";
        let kind = key::attention_tag(kind);
        change(db, sql, (kind, due.as_micros(), stream, subscriber))?;
    }
    if let Some((kind, due)) = after {
        let sql = "INSERT INTO attention(kind, due, stream, subscriber) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let kind = key::attention_tag(kind);
        change(db, sql, (kind, due.as_micros(), stream, subscriber))?;
    }
    Ok(())
}

fn names(stream: &StreamId) -> (&[u8], &[u8]) {
    (
        stream.source.as_str().as_bytes(),
        stream.key.as_str().as_bytes(),
    )
}
