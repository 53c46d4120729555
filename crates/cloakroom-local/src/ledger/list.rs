//! Pages of the indexes.

use cloakroom_core::id::SourceName;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Index, LedgerError, Page};
use cloakroom_engine::record::AttentionKind;
use rusqlite::{Connection, Params, Result, Row};

use super::read::{corrupt, decode};
use super::schema::failed;
use crate::key;

/// A row of a page: where the next page starts if this is the last one, and the record's value.
type Listed = (String, Option<Vec<u8>>);

pub(super) fn page(
    db: &Connection,
    index: &Index,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, LedgerError> {
    // One more than asked for, to see whether there is a next page.
    let rows = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let listed = match index {
        Index::Heads(source) => heads(db, source.as_ref(), cursor, rows),
        Index::Attention { kind, due } => attention(db, *kind, *due, cursor, rows),
        index => records(db, index, cursor, rows),
    };
    let mut listed = listed.map_err(|error| failed(&error))?;
    let has_more = listed.len() > limit;
    listed.truncate(limit);
    let last = listed.last().filter(|_| has_more);
    let mut page = Page {
        next: last.map(|(place, _)| place.clone()),
        records: Vec::with_capacity(listed.len()),
    };
    for (_, value) in listed {
        let value =
            value.ok_or_else(|| corrupt("the attention index names a record that is not there"))?;
        page.records.push(decode(&value)?);
    }
    Ok(page)
}

fn all<P: Params>(
    db: &Connection,
    sql: &str,
    params: P,
    read: impl FnMut(&Row<'_>) -> Result<Listed>,
) -> Result<Vec<Listed>> {
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map(params, read)?.collect()
}

fn heads(
    db: &Connection,
    source: Option<&SourceName>,
    cursor: Option<&str>,
    rows: i64,
) -> Result<Vec<Listed>> {
    let read = |row: &Row<'_>| {
        let (source, key): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let place = format!("{}.{}", hex::encode(source), hex::encode(key));
        Ok((place, row.get(2)?))
    };
    let place = cursor.map(|cursor| {
        let (source, key) = cursor.split_once('.')?;
        hex::decode(source).ok().zip(hex::decode(key).ok())
    });
    let wanted = source.map(|source| source.as_str().as_bytes().to_vec());
    // Sources and keys are never empty, so an empty one stands before all of them.
    let (from, after) = match (place, &wanted) {
        (None, None) => (Vec::new(), Vec::new()),
        (None, Some(wanted)) => (wanted.clone(), Vec::new()),
        (Some(Some(place)), None) => place,
        (Some(Some(place)), Some(wanted)) if place.0 == *wanted => place,
        // Not a cursor that this index gave: there is nothing behind it.
        (Some(_), _) => return Ok(Vec::new()),
    };
    if wanted.is_some() {
        let sql = "SELECT source, key, head FROM stream WHERE source = ?1 AND key > ?2 AND head IS NOT NULL ORDER BY key LIMIT ?3";
        all(db, sql, (from, after, rows), read)
    } else {
        let sql = "SELECT source, key, head FROM stream WHERE (source, key) > (?1, ?2) AND head IS NOT NULL ORDER BY source, key LIMIT ?3";
        all(db, sql, (from, after, rows), read)
    }
}

fn attention(
    db: &Connection,
    kind: AttentionKind,
    due: Timestamp,
    cursor: Option<&str>,
    rows: i64,
) -> Result<Vec<Listed>> {
    let place = match cursor {
        None => Some((i64::MIN, 0, 0)),
        Some(cursor) => {
            let mut parts = cursor.split('.').map(|part| part.parse::<i64>().ok());
            let mut part = || parts.next().flatten();
            part().and_then(|due| Some((due, part()?, part()?)))
        }
    };
    let Some((after_due, after_stream, after_subscriber)) = place else {
        return Ok(Vec::new());
    };
    let sql = "SELECT due, stream, subscriber, CASE subscriber \
                   WHEN 0 THEN (SELECT head FROM stream s WHERE s.id = a.stream) \
                   ELSE (SELECT value FROM cursor c WHERE c.subscriber = a.subscriber AND c.stream = a.stream) END \
               FROM attention a \
               WHERE kind = ?1 AND (due, stream, subscriber) > (?2, ?3, ?4) AND due <= ?5 \
               ORDER BY due, stream, subscriber LIMIT ?6";
    let params = (
        key::attention_tag(kind),
        after_due,
        after_stream,
        after_subscriber,
        due.as_micros(),
        rows,
    );
    all(db, sql, params, |row| {
        let place: (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let place = format!("{}.{}.{}", place.0, place.1, place.2);
        Ok((place, row.get(3)?))
    })
}

fn records(db: &Connection, index: &Index, cursor: Option<&str>, rows: i64) -> Result<Vec<Listed>> {
    let Some(start) = key::index_prefix(index) else {
        return Ok(Vec::new());
    };
    let end = key::end_of(&start);
    // No key is as short as the prefix it begins with, so "behind the prefix" is "from it on".
    let after = match cursor.map(hex::decode) {
        None => start,
        Some(Ok(cursor)) if cursor >= start && cursor < end => cursor,
        Some(_) => return Ok(Vec::new()),
    };
    let sql = "SELECT key, value FROM record WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT ?3";
    all(db, sql, (after, end, rows), |row| {
        let key: Vec<u8> = row.get(0)?;
        Ok((hex::encode(key), row.get(1)?))
    })
}
