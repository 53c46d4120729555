//! The target of the pipe `dispatch`: heads that moved ring the subscriptions that listen.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::catalog::Catalog;
use serde_json::Value;

use crate::answer::{BatchAnswer, HandlerError};
use crate::changes::{self, Told};
use crate::rings::Rings;

/// Rings every subscription of every stream in a batch once, with the highest position seen. Reads nothing.
///
/// A bell that could not be sent fails all records of its stream.
///
/// # Errors
/// When the event is no batch of records.
pub async fn dispatch(
    catalog: &Catalog,
    rings: &Rings,
    batch: Value,
) -> Result<BatchAnswer, HandlerError> {
    let changes = changes::read(batch)?;
    let mut streams = BTreeMap::<StreamId, (Position, Vec<usize>)>::new();
    let mut failed = BTreeSet::new();
    for (index, change) in changes.iter().enumerate() {
        match &change.told {
            Ok(Told::Head(stream, Some(position))) => {
                let (highest, records) = streams
                    .entry(stream.clone())
                    .or_insert_with(|| (position.clone(), Vec::new()));
                if position > highest {
                    highest.clone_from(position);
                }
                records.push(index);
            }
            Ok(_) => {}
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
    let (mut bells, mut of) = (Vec::new(), Vec::new());
    for (stream, (position, records)) in &streams {
        for bell in catalog.dispatch(stream, position) {
            bells.push(bell);
            of.push((stream, records));
        }
    }
    for ((stream, records), outcome) in of.into_iter().zip(rings.pass_on(bells).await) {
        if let Err(error) = outcome {
            tracing::error!(%stream, %error, "a doorbell was not rung");
            failed.extend(records);
        }
    }
    let named = failed
        .into_iter()
        .map(|index| changes[index].event_id.clone());
    Ok(BatchAnswer::failed(named))
}
