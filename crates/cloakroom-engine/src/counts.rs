//! How much wants an operator's attention: gauges for alarms, read from the ledger itself.

use cloakroom_core::id::SubscriptionName;
use cloakroom_core::time::Timestamp;
use futures::future::try_join_all;

use crate::ports::{Index, LedgerError};
use crate::record::{AttentionKind, Key, Record};
use crate::shared::{Shared, StoreError};

/// How many records are read at a time, and up to how many of a kind are counted.
pub const COUNTED_MAX: usize = 100;
/// How many records of a kind are looked at: those that an operator has decided about are kept among the others.
const LOOKED_AT_MAX: usize = 10 * COUNTED_MAX;

/// What wants an operator's attention now, each counted up to [`COUNTED_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Streams that wait at a gap past its deadline.
    pub stalled_streams: usize,
    /// Streams that a subscription stopped at, for each such subscription.
    pub parked_streams: usize,
    /// Events that a subscription gave up.
    pub dead_letters: usize,
    /// Webhooks in quarantine that nobody has decided about.
    pub quarantined: usize,
    /// Subscriptions whose consumer wants nothing any more.
    pub disabled_subscriptions: usize,
}

impl Shared {
    /// Counts what wants attention.
    pub(crate) async fn counts(&self) -> Result<Counts, StoreError> {
        let due = Timestamp::from_micros(i64::MAX);
        let attention = |kind| Index::Attention { kind, due };
        let any = |_: &Record| true;
        let is_undecided = |record: &Record| match record {
            Record::Quarantined(quarantined) => quarantined.resolution.is_none(),
            _ => false,
        };
        let disabled = self.active.keys().map(|name| self.is_disabled(name));
        let disabled = try_join_all(disabled).await?.into_iter();
        Ok(Counts {
            stalled_streams: self.count(&attention(AttentionKind::Stalled), any).await?,
            parked_streams: self.count(&attention(AttentionKind::Parked), any).await?,
            dead_letters: self.count(&Index::DeadLetters(None), any).await?,
            quarantined: self.count(&Index::Quarantine(None), is_undecided).await?,
            disabled_subscriptions: disabled.filter(|is_disabled| *is_disabled).count(),
        })
    }

    /// What the ledger says: another host may have disabled it, or enabled it again.
    async fn is_disabled(&self, name: &SubscriptionName) -> Result<bool, LedgerError> {
        let record = self.ledger.get(&Key::Subscription(name.clone())).await?;
        Ok(matches!(record, Some(Record::Subscription(record)) if record.disabled.is_some()))
    }

    async fn count(
        &self,
        index: &Index,
        counts: impl Fn(&Record) -> bool,
    ) -> Result<usize, LedgerError> {
        let (mut counted, mut looked_at, mut cursor) = (0, 0, None);
        loop {
            let page = self
                .ledger
                .list(index, cursor.as_deref(), COUNTED_MAX)
                .await?;
            looked_at += page.records.len();
            counted += page.records.iter().filter(|record| counts(record)).count();
            cursor = page.next;
            if cursor.is_none() || counted >= COUNTED_MAX || looked_at >= LOOKED_AT_MAX {
                return Ok(counted.min(COUNTED_MAX));
            }
        }
    }
}
