//! The target of the pipe `resequence`: new entries move heads.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_core::id::StreamId;
use cloakroom_core::time::Timestamp;
use futures::StreamExt as _;
use serde_json::Value;

use crate::answer::{BatchAnswer, HandlerError};
use crate::changes::{self, Told};
use crate::host::Host;

/// How many streams are worked on at once.
const STREAMS_AT_ONCE: usize = 32;

/// Looks at every stream of a batch once, however many of its entries are in it. The invocation is ended at `ends`.
///
/// A stream that cannot be looked at fails all its records. Of heads that move the pipe `dispatch` tells: only what is due
/// later is passed on.
///
/// # Errors
/// When the event is no batch of records.
pub async fn resequence(
    host: &Host,
    batch: Value,
    ends: Option<Timestamp>,
) -> Result<BatchAnswer, HandlerError> {
    let deadline = host.deadline(ends);
    let (mut streams, mut failed) = (BTreeMap::<StreamId, Vec<usize>>::new(), BTreeSet::new());
    let changes = changes::read(batch)?;
    for (index, change) in changes.iter().enumerate() {
        match &change.told {
            Ok(Told::Entry(stream)) => streams.entry(stream.clone()).or_default().push(index),
            Ok(Told::Head(..) | Told::Other) => {}
            Err(reason) => {
                tracing::error!(
                    event_id = change.event_id,
                    reason,
                    "a record cannot be read"
                );
                failed.insert(index);
            }
        }
    }
    let looks = futures::stream::iter(streams).map(async |(stream, records)| {
        let looked = !host.is_over(deadline) && look(host, &stream).await;
        (!looked).then_some(records)
    });
    let outcomes: Vec<_> = looks.buffer_unordered(STREAMS_AT_ONCE).collect().await;
    failed.extend(outcomes.into_iter().flatten().flatten());
    let named = failed
        .into_iter()
        .map(|index| changes[index].event_id.clone());
    Ok(BatchAnswer::failed(named))
}

/// Releases what may leave a stream, and passes on when to look again. Whether it worked.
pub(crate) async fn look(host: &Host, stream: &StreamId) -> bool {
    let outcome = match host.stepper.resequence(stream).await {
        Ok(bells) => {
            let passed = host.rings.pass_all_on(bells).await;
            passed.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &outcome {
        tracing::error!(%stream, error, "resequencing failed");
    }
    outcome.is_ok()
}
