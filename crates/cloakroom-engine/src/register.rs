//! What is configured meets what the ledger remembers of it, once, at the start.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use cloakroom_core::id::{SourceName, SubscriptionName};
use cloakroom_core::time::Timestamp;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::catalog::{Catalog, Source, Subscription};
use crate::doorbell::Doorbells;
use crate::ports::{Ledger, LedgerError, TransactError, Write};
use crate::pull::Ready;
use crate::record::{Key, Record, SourceRecord, SubscriptionRecord};
use crate::shared::Active;

/// How many records are looked up at once when an engine starts: on a shared ledger each is a round trip, and each one
/// under way needs a connection.
const REGISTERED_AT_ONCE: usize = 8;

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ordering of a source that has streams was changed.
    #[error(
        "source {name}: its streams were ordered by `{before}`, the configuration now says `{after}`; \
         raise `generation` to {next} to start new streams, or change it back"
    )]
    OrderingChanged {
        /// The source.
        name: SourceName,
        /// What its streams were made under.
        before: String,
        /// What the configuration says.
        after: String,
        /// The generation that would allow it.
        next: u32,
    },
    /// The generation of a source went backwards.
    #[error("source {name}: its generation is {before} already, the configuration says {after}")]
    GenerationBack {
        /// The source.
        name: SourceName,
        /// What it was.
        before: u32,
        /// What the configuration says.
        after: u32,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Registers the sources, and then what subscribes to them.
pub(crate) async fn register(
    catalog: &Catalog,
    ledger: &dyn Ledger,
    now: Timestamp,
) -> Result<BTreeMap<SubscriptionName, Arc<Active>>, StartError> {
    let sources: Vec<_> = catalog
        .sources()
        .map(|source| register_source(ledger, source))
        .collect();
    let sources = stream::iter(sources).buffered(REGISTERED_AT_ONCE);
    sources.try_collect::<()>().await?;
    let subscriptions: Vec<_> = catalog
        .subscriptions()
        .map(async |subscription| {
            let record = register_subscription(ledger, subscription, now).await?;
            let active = Arc::new(activate(Arc::clone(subscription), record));
            Ok((subscription.name.clone(), active))
        })
        .collect();
    let subscriptions = stream::iter(subscriptions).buffered(REGISTERED_AT_ONCE);
    subscriptions.try_collect().await
}

/// Refuses to continue streams under another ordering than they were made under.
async fn register_source(ledger: &dyn Ledger, source: &Source) -> Result<(), StartError> {
    loop {
        let record = SourceRecord {
            name: source.name.clone(),
            generation: source.generation,
            ordering: source.ordering.clone(),
            revision: 0,
        };
        let stored = match ledger.get(&Key::Source(source.name.clone())).await? {
            Some(Record::Source(stored)) => Some(stored),
            _ => None,
        };
        let write = match stored {
            None => Write::Create(Record::Source(record)),
            Some(stored) if source.generation < stored.generation => {
                return Err(StartError::GenerationBack {
                    name: source.name.clone(),
                    before: stored.generation,
                    after: source.generation,
                });
            }
            Some(stored)
                if source.generation == stored.generation && source.ordering == stored.ordering =>
            {
                return Ok(());
            }
            Some(stored) if source.generation > stored.generation => {
                let revision = stored.revision;
                Write::Replace {
                    record: Record::Source(SourceRecord {
                        revision: revision + 1,
                        ..record
                    }),
                    revision,
                }
            }
            Some(stored) => {
                return Err(StartError::OrderingChanged {
                    name: source.name.clone(),
                    before: stored.ordering,
                    after: source.ordering.clone(),
                    next: stored.generation + 1,
                });
            }
        };
        match ledger.transact(vec![write]).await {
            Ok(()) => return Ok(()),
            Err(TransactError::Conflict(_)) => {}
            Err(TransactError::Ledger(error)) => return Err(error.into()),
        }
    }
}

/// Remembers when a subscription's name was first configured.
async fn register_subscription(
    ledger: &dyn Ledger,
    subscription: &Subscription,
    now: Timestamp,
) -> Result<SubscriptionRecord, LedgerError> {
    let first = SubscriptionRecord {
        name: subscription.name.clone(),
        since: now,
        disabled: None,
        revision: 0,
    };
    match ledger
        .transact(vec![Write::Create(Record::Subscription(first.clone()))])
        .await
    {
        Ok(()) => Ok(first),
        Err(TransactError::Conflict(conflict)) => match conflict.stored {
            Some(Record::Subscription(stored)) => Ok(stored),
            _ => Err(LedgerError::Corrupt(format!(
                "the record of subscription {} is none",
                subscription.name
            ))),
        },
        Err(TransactError::Ledger(error)) => Err(error),
    }
}

fn activate(config: Arc<Subscription>, record: SubscriptionRecord) -> Active {
    Active {
        config,
        since: record.since,
        disabled: RwLock::new(record.disabled),
        bells: Doorbells::new(),
        ready: Ready::default(),
    }
}
