//! The ledger in an LSM tree, written by one thread that commits in groups.
//!
//! Reads never wait for the writer. They use the snapshot that the writer took after its last commit, when everything
//! applied was durable and nothing was half applied. (The tree's newest snapshot would not do: when a background flush
//! ends in the middle of a commit, it makes visible what of the batch is applied by then.)

mod heads;
mod recent;
mod writer;

use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::{Index, Ledger, LedgerError, Page, TransactError, Write};
use cloakroom_engine::record::{Key, Record};
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable as _, Snapshot};

use self::heads::Heads;
use self::recent::Recents;
use self::writer::Writer;
use crate::data_dir::Options;
use crate::{key, value};

/// Records held in memory until they are written out as a table. Larger means fewer tables to read, and more memory.
const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;

/// The attention index changes often and is small.
const ATTENTION_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// How much journal may pile up; also bounds the time of a start after a crash.
const JOURNAL_MAX_BYTES: u64 = 256 * 1024 * 1024;

const BLOCK_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Background threads for flushes and compactions: one of each kind never waits for the other.
const WORKERS: usize = 2;

/// Longer ranges are read on a thread where blocking is fine.
const INLINE_EVENTS_MAX: usize = 128;

/// The tree behind the ledger.
#[derive(Clone)]
pub(crate) struct Store {
    db: Database,
    records: Keyspace,
    attention: Keyspace,
    /// What readers see.
    published: Arc<RwLock<Snapshot>>,
}

/// Is shown a stored record: its key and its value.
type RecordVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), LedgerError> + 'a;

/// A durable ledger in one directory.
pub struct LocalLedger {
    store: Store,
    heads: Arc<Heads>,
    recents: Arc<Recents>,
    writer: Writer,
}

impl std::fmt::Debug for LocalLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLedger").finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let db = Database::builder(folder)
            .cache_size(BLOCK_CACHE_BYTES)
            .worker_threads(WORKERS)
            .max_journaling_size(JOURNAL_MAX_BYTES)
            .manual_journal_persist(true)
            .open()
            .map_err(|error| failed(&error))?;
        let options = |memtable| {
            KeyspaceCreateOptions::default()
                .max_memtable_size(memtable)
                .manual_journal_persist(true)
                .filter_block_pinning_policy(PinningPolicy::all(false))
                .index_block_pinning_policy(PinningPolicy::all(false))
        };
        let keyspace = |name, memtable| {
            db.keyspace(name, || options(memtable))
                .map_err(|error| failed(&error))
        };
        Ok(Self {
            records: keyspace("records", MEMTABLE_BYTES)?,
            attention: keyspace("attention", ATTENTION_MEMTABLE_BYTES)?,
            published: Arc::new(RwLock::new(db.snapshot())),
            db,
        })
    }

    fn snapshot(&self) -> Snapshot {
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows readers what the tree holds now. Only for when no commit is under way.
    fn publish(&self) {
        let snapshot = self.db.snapshot();
        *self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        let stored = self.snapshot().get(&self.records, key::encode(key));
        stored
            .map_err(|error| failed(&error))?
            .map(|bytes| decode(&bytes))
            .transpose()
    }

    pub(crate) fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        let prefix = key::events_prefix(stream);
        let start = match after {
            Some(after) => Bound::Excluded(key::event_in(&prefix, after)),
            None => Bound::Included(prefix.clone()),
        };
        let end = match up_to {
            Some(up_to) => Bound::Included(key::event_in(&prefix, up_to)),
            None => Bound::Excluded(key::end_of(&prefix)),
        };
        if limit == 0
            || up_to
                .zip(after)
                .is_some_and(|(up_to, after)| up_to <= after)
        {
            return Ok(Vec::new());
        }
        let range = self.snapshot().range(&self.records, (start, end));
        range
            .take(limit)
            .map(|entry| event(entry.value()))
            .collect()
    }

    fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        let prefix = key::events_prefix(stream);
        let range = prefix.clone()..key::end_of(&prefix);
        let mut range = self.snapshot().range(&self.records, range);
        range
            .next_back()
            .map(|entry| event(entry.value()))
            .transpose()
    }

    pub(crate) fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let (start, end) = match index {
            Index::Attention { kind, due } => key::attention_range(*kind, *due),
            index => {
                let prefix = key::index_prefix(index).expect("every other index has a prefix");
                let end = key::end_of(&prefix);
                (prefix, end)
            }
        };
        let start = match cursor.map(hex::decode) {
            None => Bound::Included(start),
            Some(Ok(cursor)) if cursor >= start && cursor < end => Bound::Excluded(cursor),
            // Not a cursor that this index gave: there is nothing behind it.
            Some(_) => return Ok(Page::default()),
        };
        let snapshot = self.snapshot();
        let tree = match index {
            Index::Attention { .. } => &self.attention,
            _ => &self.records,
        };
        let mut page = Page::default();
        let mut last = None;
        for entry in snapshot.range(tree, (start, Bound::Excluded(end))) {
            if page.records.len() >= limit {
                page.next = last.map(|key: fjall::Slice| hex::encode(&*key));
                break;
            }
            let (key, bytes) = entry.into_inner().map_err(|error| failed(&error))?;
            page.records.push(match index {
                Index::Attention { .. } => self.attentive(&snapshot, &key)?,
                _ => decode(&bytes)?,
            });
            last = Some(key);
        }
        Ok(page)
    }

    /// Shows every stored record, key and value, in the order of the keys.
    pub(crate) fn each_record(&self, visit: &mut RecordVisitor<'_>) -> Result<(), LedgerError> {
        for entry in self.snapshot().iter(&self.records) {
            let (key, bytes) = entry.into_inner().map_err(|error| failed(&error))?;
            visit(&key, &bytes)?;
        }
        Ok(())
    }

    /// Shows every event of a stream above `after` and up to `up_to` that can be read.
    pub(crate) fn each_event(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: &Position,
        visit: &mut dyn FnMut(&Event),
    ) -> Result<(), LedgerError> {
        let prefix = key::events_prefix(stream);
        let start = match after {
            Some(after) if after >= up_to => return Ok(()),
            Some(after) => Bound::Excluded(key::event_in(&prefix, after)),
            None => Bound::Included(prefix.clone()),
        };
        let end = Bound::Included(key::event_in(&prefix, up_to));
        for entry in self.snapshot().range(&self.records, (start, end)) {
            if let Ok(event) = event(entry.value()) {
                visit(&event);
            }
        }
        Ok(())
    }

    /// Whether the attention index holds this entry.
    pub(crate) fn wants_attention(&self, key: &[u8]) -> Result<bool, LedgerError> {
        self.attention
            .contains_key(key)
            .map_err(|error| failed(&error))
    }

    /// How many entries the attention index holds.
    pub(crate) fn attention_len(&self) -> Result<u64, LedgerError> {
        let len = self.attention.len().map_err(|error| failed(&error))?;
        Ok(len as u64)
    }

    /// The record behind an entry of the attention index.
    fn attentive(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Record, LedgerError> {
        let record = key::attention_record(key);
        let record = record.ok_or_else(|| corrupt("an entry of the attention index is cut off"))?;
        let stored = snapshot
            .get(&self.records, record)
            .map_err(|error| failed(&error))?;
        let stored = stored
            .ok_or_else(|| corrupt("the attention index names a record that is not there"))?;
        decode(&stored)
    }
}

fn event(stored: Result<fjall::UserValue, fjall::Error>) -> Result<Event, LedgerError> {
    match decode(&stored.map_err(|error| failed(&error))?)? {
        Record::Event(event) => Ok(event),
        _ => Err(corrupt("a record of another kind stands among the events")),
    }
}

fn decode(bytes: &[u8]) -> Result<Record, LedgerError> {
    value::decode(bytes).map_err(|error| LedgerError::Corrupt(error.to_string()))
}

fn corrupt(what: &str) -> LedgerError {
    LedgerError::Corrupt(what.to_owned())
}

/// What an error of the tree means for the caller.
fn failed(error: &fjall::Error) -> LedgerError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            LedgerError::Unavailable(error.to_string())
        }
        fjall::Error::Poisoned => LedgerError::Unavailable(
            "an earlier write failed; check the disk, then restart".to_owned(),
        ),
        fjall::Error::Locked => {
            LedgerError::Unavailable("another process uses this ledger".to_owned())
        }
        error => LedgerError::Corrupt(error.to_string()),
    }
}

impl LocalLedger {
    /// Opens the ledger in `folder`, or makes an empty one. [`crate::DataDir::open`] is the usual way in.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, LedgerError> {
        let store = Store::open(folder)?;
        let heads = Arc::new(Heads::new());
        let recents = Arc::new(Recents::new());
        let writer = Writer::start(
            store.clone(),
            Arc::clone(&heads),
            Arc::clone(&recents),
            folder,
            options,
        )?;
        Ok(Self {
            store,
            heads,
            recents,
            writer,
        })
    }

    /// Finishes what was begun and refuses everything after. Dropping does the same.
    pub fn close(&self) {
        self.writer.close();
    }

    /// How many bytes the ledger takes on disk.
    pub fn disk_bytes(&self) -> Result<u64, LedgerError> {
        self.store.db.disk_space().map_err(|error| failed(&error))
    }

    async fn unblocked<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || read(&store));
        read.await
            .unwrap_or_else(|error| Err(LedgerError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Ledger for LocalLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        if let Key::Head(stream) = key
            && let Some(head) = self.heads.get(stream)
        {
            return Ok(Some(Record::clone(&head)));
        }
        self.store.get(key)
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        if let Some(events) = self.recents.events(stream, after, up_to, limit) {
            return Ok(events);
        }
        if limit <= INLINE_EVENTS_MAX {
            let watched = up_to
                .is_none()
                .then(|| self.recents.watch(stream))
                .flatten();
            let events = self.store.events(stream, after, up_to, limit)?;
            if let Some(watched) = watched
                && events.len() < limit
            {
                watched.offer(after, &events);
            }
            return Ok(events);
        }
        let (stream, after, up_to) = (stream.clone(), after.cloned(), up_to.cloned());
        self.unblocked(move |store| store.events(&stream, after.as_ref(), up_to.as_ref(), limit))
            .await
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        if let Some(event) = self.recents.last_event(stream) {
            return Ok(Some(event));
        }
        self.store.last_event(stream)
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let (index, cursor) = (index.clone(), cursor.map(str::to_owned));
        self.unblocked(move |store| store.list(&index, cursor.as_deref(), limit))
            .await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        self.writer.transact(writes).await
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::Gate;
