//! Reads, each on a connection of its own out of a small pool.
//!
//! A connection reads the last commit that is durable, and whole transactions only. Numbers of streams and subscribers
//! never change, so a read may look them up first and need not do so in one snapshot with the rest.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cloakroom_core::event::Event;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_engine::ports::LedgerError;
use cloakroom_engine::record::{Key, Record};
use rusqlite::Connection;

use super::recent::Recent;
use super::schema::{self, failed};
use super::streams::Streams;
use super::tables::{self, Slot};
use crate::{key, value};

/// Connections that are kept open while they are not in use.
const IDLE_MAX: usize = 8;

/// Above and below every position.
const LOWEST: &[u8] = b"";
const HIGHEST: &[u8] = b"\xff";

pub(super) struct Store {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
    pub(super) streams: Streams,
    pub(super) recent: Recent,
}

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            idle: Mutex::default(),
            streams: Streams::new(),
            recent: Recent::new(),
        }
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let db = match taken {
            Some(db) => db,
            None => schema::open_reader(&self.folder)?,
        };
        let answer = read(&db);
        let mut idle = idle();
        if idle.len() < IDLE_MAX {
            idle.push(db);
        }
        answer
    }

    /// Closes the connections that are not in use.
    pub(super) fn disconnect(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.clear();
    }

    pub(super) fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        match key {
            Key::Head(stream) => match self.streams.get(stream) {
                Some(known) => Ok(known.head.map(|head| Record::Head((*head).clone()))),
                None => self.with(|db| {
                    let row = tables::stream(db, stream).map_err(|e| failed(&e))?;
                    let head = row.and_then(|(_, head)| head);
                    head.map(|bytes| decode(&bytes)).transpose()
                }),
            },
            Key::Event(stream, position) => {
                let known = self.streams.get(stream);
                if let Some(event) = known.and_then(|known| self.recent.event(known.id, position)) {
                    return Ok(event.map(|event| Record::Event((*event).clone())));
                }
                self.with(|db| match self.number(db, stream)? {
                    Some(number) => in_slot(db, Slot::Event(number, position)),
                    None => Ok(None),
                })
            }
            Key::Cursor(name, stream) => {
                let known = self.streams.subscriber(name).zip(self.streams.get(stream));
                if let Some((_, cursor)) =
                    known.and_then(|(subscriber, known)| self.recent.cursor(subscriber, known.id))
                {
                    return Ok(Some(Record::Cursor((*cursor).clone())));
                }
                self.with(|db| {
                    let subscriber = self.subscriber(db, name)?;
                    let Some((subscriber, stream)) = subscriber.zip(self.number(db, stream)?)
                    else {
                        return Ok(None);
                    };
                    in_slot(db, Slot::Cursor { subscriber, stream })
                })
            }
            key if !self.recent.may_hold(key::kind(key)) => Ok(None),
            key => {
                let key = key::encode(key);
                self.with(|db| in_slot(db, Slot::Record(&key)))
            }
        }
    }

    /// The events of a range, if all of it is in memory.
    pub(super) fn recent_events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Option<Vec<Event>> {
        let known = self.streams.get(stream)?;
        let events = self.recent.events(known.id, after, up_to, limit)?;
        Some(events.iter().map(|event| (**event).clone()).collect())
    }

    pub(super) fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        let mut events = Vec::new();
        self.with(|db| {
            let Some(number) = self.number(db, stream)? else {
                return Ok(());
            };
            each_event(db, number, after, up_to, limit, &mut |bytes| {
                events.push(event(bytes)?);
                Ok(())
            })
        })?;
        Ok(events)
    }

    pub(super) fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        let known = self.streams.get(stream);
        if let Some(last) = known.and_then(|known| self.recent.last_event(known.id)) {
            return Ok(last.map(|event| (*event).clone()));
        }
        self.with(|db| {
            let Some(number) = self.number(db, stream)? else {
                return Ok(None);
            };
            let last = || {
                let sql =
                    "SELECT value FROM event WHERE stream = ?1 ORDER BY position DESC LIMIT 1";
                let mut statement = db.prepare_cached(sql)?;
                let mut rows = statement.query([number])?;
                let row = rows.next()?;
                row.map(|row| Ok(event(row.get_ref(0)?.as_blob()?)))
                    .transpose()
            };
            last().map_err(|e: rusqlite::Error| failed(&e))?.transpose()
        })
    }

    fn number(&self, db: &Connection, stream: &StreamId) -> Result<Option<i64>, LedgerError> {
        if let Some(known) = self.streams.get(stream) {
            return Ok(Some(known.id));
        }
        let row = tables::stream(db, stream).map_err(|e| failed(&e))?;
        Ok(row.map(|(id, _)| id))
    }

    fn subscriber(
        &self,
        db: &Connection,
        name: &SubscriptionName,
    ) -> Result<Option<i64>, LedgerError> {
        match self.streams.subscriber(name) {
            Some(id) => Ok(Some(id)),
            None => tables::subscriber(db, name).map_err(|e| failed(&e)),
        }
    }
}

fn in_slot(db: &Connection, slot: Slot<'_>) -> Result<Option<Record>, LedgerError> {
    tables::value(db, slot, decode)
        .map_err(|e| failed(&e))?
        .transpose()
}

/// Shows the stored events of a stream in position order.
pub(super) fn each_event(
    db: &Connection,
    stream: i64,
    after: Option<&Position>,
    up_to: Option<&Position>,
    limit: usize,
    show: &mut dyn FnMut(&[u8]) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let bytes = |position: &Position| position.as_str().as_bytes().to_vec();
    let after = after.map_or_else(|| LOWEST.to_vec(), bytes);
    let up_to = up_to.map_or_else(|| HIGHEST.to_vec(), bytes);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "SELECT value FROM event WHERE stream = ?1 AND position > ?2 AND position <= ?3 ORDER BY position LIMIT ?4";
    let mut statement = db.prepare_cached(sql).map_err(|e| failed(&e))?;
    let rows = statement.query((stream, after, up_to, limit));
    let mut rows = rows.map_err(|e| failed(&e))?;
    while let Some(row) = rows.next().map_err(|e| failed(&e))? {
        let bytes = row.get_ref(0).map_err(|e| failed(&e))?;
        show(
            bytes
                .as_blob()
                .map_err(|e| LedgerError::Corrupt(e.to_string()))?,
        )?;
    }
    Ok(())
}

pub(super) fn event(stored: &[u8]) -> Result<Event, LedgerError> {
    match decode(stored)? {
        Record::Event(event) => Ok(event),
        _ => Err(corrupt("a record of another kind stands among the events")),
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Record, LedgerError> {
    value::decode(bytes).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

pub(super) fn corrupt(what: &str) -> LedgerError {
    LedgerError::Corrupt(what.to_owned())
}
