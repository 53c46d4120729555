//! The ledger in a SQLite file, written by one thread that commits in groups.
//!
//! | file | what |
//! | --- | --- |
//! | `schema` | the file's tables, settings and version |
//! | `tables` | the statements |
//! | `streams` | what is kept in memory of streams and their heads |
//! | `recent` | events and cursors that were written lately, in memory |
//! | `read`, `list` | reads and pages, beside the writer |
//! | `request`, `group`, `writer` | transactions: prepared, checked and carried out, committed and answered |
//! | `carrier` | carries the log over into the file, beside the writer |
//! | `examine` | what the doctor reads |

mod carrier;
mod examine;
mod group;
mod list;
pub(crate) mod log;
mod read;
mod recent;
mod request;
mod schema;
mod streams;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::{Index, Ledger, LedgerError, Page, TransactError, Write};
use cloakroom_engine::record::{Key, Record};

pub(crate) use self::examine::Examined;
use self::read::Store;
use self::writer::Writer;
use crate::claims::Flush;
use crate::data_dir::Options;
use crate::disk;

/// Longer ranges are read on a thread where blocking is fine.
const INLINE_EVENTS_MAX: usize = 128;

/// A durable ledger in one directory.
pub struct LocalLedger {
    folder: PathBuf,
    store: Arc<Store>,
    writer: Writer,
}

impl std::fmt::Debug for LocalLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLedger").finish_non_exhaustive()
    }
}

impl LocalLedger {
    /// Opens the ledger in `folder`, or makes an empty one. [`crate::DataDir::open`] is the usual way in.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, LedgerError> {
        Self::start(None, folder, options)
    }

    /// Opens it as the one that makes payloads durable before the entries that name them.
    pub(crate) fn open_after(
        flush: Flush,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, LedgerError> {
        Self::start(Some(flush), folder, options)
    }

    fn start(flush: Option<Flush>, folder: &Path, options: &Options) -> Result<Self, LedgerError> {
        let store = Arc::new(Store::new(folder.to_owned()));
        let writer = Writer::start(Arc::clone(&store), flush, folder, options)?;
        Ok(Self {
            folder: folder.to_owned(),
            store,
            writer,
        })
    }

    /// Finishes what was begun and refuses every write after. Dropping does the same.
    pub fn close(&self) {
        self.writer.close();
    }

    /// How many bytes the ledger takes on disk.
    pub fn disk_bytes(&self) -> Result<u64, LedgerError> {
        disk::folder_bytes(&self.folder)
            .map_err(|error| LedgerError::Unavailable(error.to_string()))
    }

    /// What is wrong with the ledger's file as a whole; empty when it is sound. Reads all of it. `deep` compares indexes
    /// with their tables, too.
    pub fn integrity(&self, deep: bool) -> Result<Vec<String>, LedgerError> {
        self.store.with(|db| schema::faults(db, deep))
    }

    async fn unblocked<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || read(&store));
        read.await
            .unwrap_or_else(|error| Err(LedgerError::Unavailable(error.to_string())))
    }
}

#[async_trait]
impl Ledger for LocalLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.store.get(key)
    }

    async fn events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        if let Some(events) = self.store.recent_events(stream, after, up_to, limit) {
            return Ok(events);
        }
        if limit <= INLINE_EVENTS_MAX {
            return self.store.events(stream, after, up_to, limit);
        }
        let (stream, after, up_to) = (stream.clone(), after.cloned(), up_to.cloned());
        self.unblocked(move |store| store.events(&stream, after.as_ref(), up_to.as_ref(), limit))
            .await
    }

    async fn last_event(&self, stream: &StreamId) -> Result<Option<Event>, LedgerError> {
        self.store.last_event(stream)
    }

    async fn list(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let (index, cursor) = (index.clone(), cursor.map(str::to_owned));
        self.unblocked(move |store| {
            store.with(|db| list::page(db, &index, cursor.as_deref(), limit))
        })
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
