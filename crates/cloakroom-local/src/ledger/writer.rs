//! The one thread that writes: it takes whatever transactions are waiting, checks each against the tree and those before
//! it in the group, commits all that pass in one batch with one sync, and only then answers, refusals included.
//!
//! After a commit that failed nobody knows what is on disk (the kernel may have dropped the pages of a failed sync), so
//! everything after it is refused until the ledger is opened again, which reads the truth from the journal.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Conflict, LedgerError, TRANSACTION_MAX, TransactError, Write};
use cloakroom_engine::record::{AttentionKind, HeadRecord, Key, Record};
use fjall::{PersistMode, UserValue};
use tokio::sync::oneshot;

use super::heads::Heads;
use super::recent::{Recents, Tail};
use super::{Store, corrupt, decode, failed};
use crate::data_dir::Options;
use crate::{disk, key, value};

/// A group ends here, so that its first transaction does not wait for ever.
const GROUP_MAX: usize = 1024;

type Answer = oneshot::Sender<Result<(), TransactError>>;

pub(super) struct Writer {
    /// `None` once closed.
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Request {
    writes: Vec<Prepared>,
    answer: Answer,
}

/// A write with all that can be worked out on the caller's thread.
struct Prepared {
    key: Vec<u8>,
    /// Set when the key is a head's.
    stream: Option<StreamId>,
    /// Set when the key is an event's.
    event: Option<(StreamId, Position)>,
    action: Action,
}

enum Action {
    Create(Fresh),
    Replace { fresh: Fresh, revision: u64 },
    Delete { revision: Option<u64> },
    Admit(Position),
    BaseAllows(u64),
}

/// A record about to be written.
struct Fresh {
    bytes: Vec<u8>,
    /// Kept for heads and events, which stay in memory for a while.
    record: Option<Arc<Record>>,
}

impl Writer {
    pub(super) fn start(
        store: Store,
        heads: Arc<Heads>,
        recents: Arc<Recents>,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, LedgerError> {
        let (requests, waiting) = channel();
        let committer = Committer {
            store,
            heads,
            recents,
            folder: folder.to_owned(),
            reserve_bytes: options.reserve_bytes,
            broken: None,
            #[cfg(test)]
            gate: options.gate.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || committer.run(&waiting))
            .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(Self {
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn transact(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        debug_assert!(
            writes.len() <= TRANSACTION_MAX,
            "a transaction holds at most {TRANSACTION_MAX} writes"
        );
        let writes = writes.into_iter().map(Prepared::new).collect();
        let (answer, answered) = oneshot::channel();
        let closed = || LedgerError::Unavailable("it is shutting down".to_owned());
        {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let requests = requests.as_ref().ok_or_else(closed)?;
            requests
                .send(Request { writes, answer })
                .map_err(|_| closed())?;
        }
        answered.await.map_err(|_| closed())?
    }

    pub(super) fn close(&self) {
        let requests = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(requests);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the ledger's writer ended in a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Prepared {
    fn new(write: Write) -> Self {
        let record_key = write.key();
        let key = key::encode(&record_key);
        let (stream, event) = match record_key {
            Key::Head(stream) => (Some(stream), None),
            Key::Event(stream, position) => (None, Some((stream, position))),
            _ => (None, None),
        };
        let action = match write {
            Write::Create(record) => Action::Create(Fresh::new(record)),
            Write::Replace { record, revision } => Action::Replace {
                fresh: Fresh::new(record),
                revision,
            },
            Write::Delete { revision, .. } => Action::Delete { revision },
            Write::Admit { position, .. } => Action::Admit(position),
            Write::BaseAllows { number, .. } => Action::BaseAllows(number),
        };
        Self {
            key,
            stream,
            event,
            action,
        }
    }
}

impl Fresh {
    fn new(record: Record) -> Self {
        Self {
            bytes: value::encode(&record),
            record: matches!(record, Record::Head(_) | Record::Event(_)).then(|| Arc::new(record)),
        }
    }
}

struct Committer {
    store: Store,
    heads: Arc<Heads>,
    recents: Arc<Recents>,
    folder: PathBuf,
    reserve_bytes: u64,
    /// Why nothing is written any more.
    broken: Option<String>,
    #[cfg(test)]
    gate: Option<super::tests::Gate>,
}

/// What the group makes of one key.
struct Staged {
    now: Content,
    /// Whether and when the stored record wants attention.
    stored_attention: Option<(AttentionKind, Timestamp)>,
    is_stored: bool,
    is_changed: bool,
    stream: Option<StreamId>,
    event: Option<(StreamId, Position)>,
    /// The event that was written last.
    written: Option<Arc<Record>>,
}

#[derive(Clone)]
enum Content {
    Absent,
    Bytes(UserValue),
    /// A head, and its stored form where the caller made that already.
    Head(Arc<Record>, Option<UserValue>),
}

#[derive(Default)]
struct Group {
    staged: HashMap<Vec<u8>, Staged>,
    answers: Vec<(Answer, Result<(), TransactError>)>,
    is_changed: bool,
}

impl Committer {
    fn run(mut self, waiting: &Receiver<Request>) {
        while let Ok(first) = waiting.recv() {
            let mut group = Group::default();
            let is_full = self.is_full();
            self.add(&mut group, first, is_full);
            while group.answers.len() < GROUP_MAX
                && let Ok(next) = waiting.try_recv()
            {
                self.add(&mut group, next, is_full);
            }
            self.finish(group);
        }
    }

    /// Whether the disk is so full that nothing new is taken. What deletes or moves on is: it is what makes room.
    fn is_full(&self) -> bool {
        match disk::available_bytes(&self.folder) {
            Ok(bytes) => bytes < self.reserve_bytes,
            Err(error) => {
                tracing::warn!(%error, "cannot tell how much room the disk has");
                false
            }
        }
    }

    fn add(&self, group: &mut Group, request: Request, is_full: bool) {
        let Request { writes, answer } = request;
        let creates = || {
            writes
                .iter()
                .any(|write| matches!(write.action, Action::Create(_)))
        };
        let outcome = if let Some(reason) = &self.broken {
            Err(LedgerError::Unavailable(reason.clone()).into())
        } else if is_full && creates() {
            let reason = format!(
                "less than {} bytes are free on its disk",
                self.reserve_bytes
            );
            Err(LedgerError::Unavailable(reason).into())
        } else {
            self.check(group, &writes).map(|()| apply(group, writes))
        };
        group.answers.push((answer, outcome));
    }

    /// Whether all conditions hold, given what the group did before.
    fn check(&self, group: &mut Group, writes: &[Prepared]) -> Result<(), TransactError> {
        for (number, write) in writes.iter().enumerate() {
            if !group.staged.contains_key(&write.key) {
                let staged = self.load(write)?;
                group.staged.insert(write.key.clone(), staged);
            }
            let stored = &group.staged[&write.key].now;
            if !holds(&write.action, stored)? {
                return Err(TransactError::Conflict(Box::new(Conflict {
                    write: number,
                    stored: stored.record()?,
                })));
            }
        }
        Ok(())
    }

    fn load(&self, write: &Prepared) -> Result<Staged, LedgerError> {
        let now = match write
            .stream
            .as_ref()
            .and_then(|stream| self.heads.get(stream))
        {
            Some(head) => Content::Head(head, None),
            None => {
                // There is no other writer and no commit under way, so the newest is what is durable.
                let stored = self
                    .store
                    .records
                    .get(&write.key)
                    .map_err(|error| failed(&error))?;
                match (stored, &write.stream) {
                    (None, _) => Content::Absent,
                    (Some(bytes), Some(_)) => Content::Head(Arc::new(decode(&bytes)?), Some(bytes)),
                    (Some(bytes), None) => Content::Bytes(bytes),
                }
            }
        };
        Ok(Staged {
            stored_attention: now.attention()?,
            is_stored: !matches!(now, Content::Absent),
            is_changed: false,
            stream: write.stream.clone(),
            event: write.event.clone(),
            written: None,
            now,
        })
    }

    /// Commits what passed, then answers.
    fn finish(&mut self, group: Group) {
        let Group {
            staged,
            answers,
            is_changed,
        } = group;
        let committed = if is_changed {
            self.commit(staged)
        } else {
            Ok(())
        };
        match committed {
            Ok(()) => {
                for (answer, outcome) in answers {
                    // A caller that no longer listens has its transaction done all the same.
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the ledger could not be written; it takes no more writes until it is opened again");
                let reason = format!("a write failed ({error}); check the disk, then restart");
                for (answer, _) in answers {
                    let _ = answer.send(Err(LedgerError::Unavailable(reason.clone()).into()));
                }
                self.broken = Some(reason);
            }
        }
    }

    fn commit(&self, staged: HashMap<Vec<u8>, Staged>) -> Result<(), LedgerError> {
        let Store {
            db,
            records,
            attention,
            ..
        } = &self.store;
        let mut batch = db.batch().durability(Some(PersistMode::SyncData));
        let mut heads = Vec::new();
        let mut events = HashMap::<StreamId, Changes>::new();
        for (key, staged) in staged {
            if !staged.is_changed {
                continue;
            }
            let wanted = staged.now.attention()?;
            if wanted != staged.stored_attention {
                if let Some((kind, due)) = staged.stored_attention {
                    batch.remove(attention, key::attention(kind, due, &key));
                }
                if let Some((kind, due)) = wanted {
                    batch.insert(attention, key::attention(kind, due, &key), []);
                }
            }
            if let Some((stream, position)) = staged.event {
                let changed = events.entry(stream).or_default();
                changed.push((position, staged.written));
            }
            if let Some(stream) = staged.stream {
                self.heads.take_out(&stream);
                if let Content::Head(head, _) = &staged.now {
                    heads.push((stream, Arc::clone(head)));
                }
            }
            match staged.now {
                Content::Absent if staged.is_stored => batch.remove(records, key),
                Content::Absent => {}
                Content::Bytes(bytes) => batch.insert(records, key, bytes),
                Content::Head(_, Some(bytes)) => batch.insert(records, key, bytes),
                Content::Head(head, None) => batch.insert(records, key, value::encode(&head)),
            }
        }
        let (streams, changes): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let tails = self.recents.begin(&streams);
        #[cfg(test)]
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        // After a failure, what was taken out stays out: readers go to the tree from then on.
        batch.commit().map_err(|error| failed(&error))?;
        self.store.publish();
        let tails = tails.into_iter().zip(changes);
        let tails = tails
            .map(|(tail, changes)| changed(tail?, changes))
            .collect();
        self.recents.end(streams, tails);
        for (stream, head) in heads {
            self.heads.put_in(stream, head);
        }
        Ok(())
    }
}

/// What a group does to the events of one stream: written, or removed.
type Changes = Vec<(Position, Option<Arc<Record>>)>;

fn changed(mut tail: Tail, changes: Changes) -> Option<Tail> {
    let mut changes = changes.into_iter();
    changes
        .all(|(position, written)| tail.change(&position, written))
        .then_some(tail)
}

fn holds(action: &Action, stored: &Content) -> Result<bool, LedgerError> {
    let revision_is = |revision: u64| match stored {
        Content::Absent => Ok(false),
        Content::Head(head, _) => Ok(head.revision() == revision),
        Content::Bytes(bytes) => Ok(header(bytes)?.revision == revision),
    };
    match action {
        Action::Create(_) => Ok(matches!(stored, Content::Absent)),
        Action::Replace { revision, .. }
        | Action::Delete {
            revision: Some(revision),
        } => revision_is(*revision),
        Action::Delete { revision: None } => Ok(true),
        Action::Admit(position) => Ok(match stored.head()? {
            Some(head) => !head.head.covers(position),
            None => false,
        }),
        Action::BaseAllows(number) => Ok(match stored.head()? {
            Some(head) => head.head.base.number().is_none_or(|base| base <= *number),
            None => false,
        }),
    }
}

/// Carries out writes whose conditions all hold.
fn apply(group: &mut Group, writes: Vec<Prepared>) {
    for write in writes {
        let staged = group
            .staged
            .get_mut(&write.key)
            .expect("checking has loaded every key");
        staged.written = None;
        let next = match write.action {
            Action::Create(fresh) | Action::Replace { fresh, .. } => {
                let bytes = fresh.bytes.into();
                match fresh.record {
                    Some(head) if staged.stream.is_some() => Content::Head(head, Some(bytes)),
                    record => {
                        staged.written = record;
                        Content::Bytes(bytes)
                    }
                }
            }
            Action::Delete { .. } => Content::Absent,
            Action::Admit(_) => staged.now.counted(),
            Action::BaseAllows(_) => continue,
        };
        staged.now = next;
        staged.is_changed = true;
        group.is_changed = true;
    }
}

impl Content {
    fn record(&self) -> Result<Option<Record>, LedgerError> {
        match self {
            Self::Absent => Ok(None),
            Self::Bytes(bytes) => decode(bytes).map(Some),
            Self::Head(head, _) => Ok(Some(Record::clone(head))),
        }
    }

    fn head(&self) -> Result<Option<&HeadRecord>, LedgerError> {
        match self {
            Self::Absent => Ok(None),
            Self::Head(record, _) => match &**record {
                Record::Head(head) => Ok(Some(head)),
                _ => Err(corrupt(
                    "a record of another kind is stored under a head's key",
                )),
            },
            Self::Bytes(_) => Err(corrupt(
                "a record of another kind is stored under a head's key",
            )),
        }
    }

    fn attention(&self) -> Result<Option<(AttentionKind, Timestamp)>, LedgerError> {
        match self {
            Self::Absent => Ok(None),
            Self::Bytes(bytes) => Ok(header(bytes)?.attention),
            Self::Head(head, _) => Ok(head.attention()),
        }
    }

    /// The head with one more append counted.
    fn counted(&self) -> Self {
        let Self::Head(record, _) = self else {
            return self.clone();
        };
        let mut record = Record::clone(record);
        if let Record::Head(head) = &mut record {
            head.appended += 1;
            head.revision += 1;
        }
        Self::Head(Arc::new(record), None)
    }
}

fn header(bytes: &[u8]) -> Result<value::Header, LedgerError> {
    value::header(bytes).map_err(|error| LedgerError::Corrupt(error.to_string()))
}
