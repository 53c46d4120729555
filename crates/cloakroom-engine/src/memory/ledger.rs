//! The ledger as a map.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;

use crate::ports::{
    Conflict, Index, Ledger, LedgerError, Page, TRANSACTION_MAX, TransactError, Write,
};
use crate::record::{Key, Record};

/// A ledger in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    records: Mutex<BTreeMap<SortKey, Record>>,
    shared: bool,
}

/// Keys in the order of the indexes: kind first, then what the kind is listed by.
type SortKey = (u8, Vec<String>);

/// Where a record stands in an index: when it is due (0 where that does not count), and its key.
type Place = (i64, SortKey);

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty ledger that several processes are taken to use at once.
    pub fn shared() -> Self {
        Self {
            shared: true,
            ..Self::default()
        }
    }

    /// Every record there is, for tests that judge a whole history.
    pub fn dump(&self) -> Vec<Record> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SortKey, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sort_key(key: &Key) -> SortKey {
    let stream = |s: &StreamId| [s.source.to_string(), s.key.to_string()];
    let at = |s: &StreamId, p: &Position| [stream(s).to_vec(), vec![p.to_string()]].concat();
    match key {
        Key::Head(s) => (0, stream(s).to_vec()),
        Key::Event(s, p) => (1, at(s, p)),
        Key::Superseded(s, p) => (2, at(s, p)),
        Key::Note(s, p, hash) => (3, [at(s, p), vec![hash.to_string()]].concat()),
        Key::Cursor(name, s) => (4, [vec![name.to_string()], stream(s).to_vec()].concat()),
        Key::Passed(name, s, p) => (5, [vec![name.to_string()], at(s, p)].concat()),
        Key::DeadLetter(name, s, p) => (6, [vec![name.to_string()], at(s, p)].concat()),
        Key::Identity(source, identity) => (7, vec![source.to_string(), identity.to_string()]),
        Key::Quarantined(source, id) => (8, vec![source.to_string(), id.to_string()]),
        Key::Subscription(name) => (9, vec![name.to_string()]),
        Key::Source(name) => (10, vec![name.to_string()]),
    }
}

/// Which records an index lists: a kind and a prefix of its sort key.
fn index_prefix(index: &Index) -> Option<SortKey> {
    let optional = |name: Option<String>| name.into_iter().collect::<Vec<_>>();
    Some(match index {
        Index::Heads(source) => (0, optional(source.as_ref().map(ToString::to_string))),
        Index::Notes(s, p) => (
            3,
            vec![s.source.to_string(), s.key.to_string(), p.to_string()],
        ),
        Index::Superseded(s) => (2, vec![s.source.to_string(), s.key.to_string()]),
        Index::Passed(name, s) => (
            5,
            vec![name.to_string(), s.source.to_string(), s.key.to_string()],
        ),
        Index::DeadLetters(name) => (6, optional(name.as_ref().map(ToString::to_string))),
        Index::Quarantine(source) => (8, optional(source.as_ref().map(ToString::to_string))),
        Index::Attention { .. } => return None,
    })
}

/// Checks one write against what is stored under its key (the head's, for guards).
fn check(write: &Write, stored: Option<&Record>) -> bool {
    match (write, stored) {
        (Write::Create(_), stored) => stored.is_none(),
        (Write::Replace { revision, .. }, Some(stored)) => stored.revision() == *revision,
        (
            Write::Delete {
                revision: Some(revision),
                ..
            },
            Some(stored),
        ) => stored.revision() == *revision,
        (Write::Delete { revision: None, .. }, _) => true,
        (Write::Admit { position, .. }, Some(Record::Head(head))) => !head.head.covers(position),
        (Write::BaseAllows { number, .. }, Some(Record::Head(head))) => {
            head.head.base.number().is_none_or(|base| base <= *number)
        }
        _ => false,
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        Ok(self.lock().get(&sort_key(key)).cloned())
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        let prefix = vec![stream.source.to_string(), stream.key.to_string()];
        let events = self.lock();
        let of_stream = events
            .range((1, prefix.clone())..)
            .take_while(|((kind, key), _)| *kind == 1 && key.starts_with(&prefix));
        let within = of_stream.filter_map(|(_, record)| match record {
            Record::Event(event) => Some(event),
            _ => None,
        });
        Ok(within
            .filter(|event| after.is_none_or(|after| event.position > *after))
            .filter(|event| up_to.is_none_or(|up_to| event.position <= *up_to))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        Ok(self.events(stream, None, None, usize::MAX).await?.pop())
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let Ok(start) = cursor.map(serde_json::from_str::<Place>).transpose() else {
            // Not a cursor that this ledger gave: there is nothing behind it.
            return Ok(Page::default());
        };
        let records = self.lock();
        let mut found: Vec<(Place, &Record)> = match index {
            Index::Attention { kind, due } => records
                .iter()
                .filter_map(|(key, record)| {
                    let (its_kind, at) = record.attention()?;
                    (its_kind == *kind && at <= *due)
                        .then(|| ((at.as_micros(), key.clone()), record))
                })
                .collect(),
            _ => {
                let (kind, prefix) = index_prefix(index).expect("every other index has a prefix");
                records
                    .range((kind, prefix.clone())..)
                    .take_while(|((its_kind, key), _)| {
                        *its_kind == kind && key.starts_with(&prefix)
                    })
                    .map(|(key, record)| ((0, key.clone()), record))
                    .collect()
            }
        };
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.retain(|(place, _)| start.as_ref().is_none_or(|start| place > start));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more);
        Ok(Page {
            next: next.and_then(|(place, _)| serde_json::to_string(place).ok()),
            records: found
                .into_iter()
                .map(|(_, record)| record.clone())
                .collect(),
        })
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        debug_assert!(
            writes.len() <= TRANSACTION_MAX,
            "a transaction holds at most {TRANSACTION_MAX} writes"
        );
        let mut records = self.lock();
        for (index, write) in writes.iter().enumerate() {
            let stored = records.get(&sort_key(&write.key()));
            if !check(write, stored) {
                return Err(TransactError::Conflict(Box::new(Conflict {
                    write: index,
                    stored: stored.cloned(),
                })));
            }
        }
        for write in writes {
            let key = sort_key(&write.key());
            match write {
                Write::Create(record) | Write::Replace { record, .. } => {
                    records.insert(key, record);
                }
                Write::Delete { .. } => {
                    records.remove(&key);
                }
                Write::Admit { .. } => {
                    if let Some(Record::Head(head)) = records.get_mut(&key) {
                        head.appended += 1;
                        head.revision += 1;
                    }
                }
                Write::BaseAllows { .. } => {}
            }
        }
        Ok(())
    }

    fn is_exclusive(&self) -> bool {
        !self.shared
    }
}
