//! What was written in one transaction with a head is never seen later than the head.
//!
//! DynamoDB isolates a transaction from a read of one item, but a query that runs while the transaction is being applied may
//! see some of its items and not others. A resequencer that sees a head with an append counted, and not yet the event,
//! would move the head past the event: compare-and-set on the head does not help, since the head was read after the count.
//!
//! So a head names the positions of the events that were written together with it. Whoever reads a head reads those too
//! (one item at a time, consistently), and waits for them if need be. The names go when the head is next replaced, which
//! only somebody does who has read it; or, where a head waits long, as soon as there are a few.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use cloakroom_core::id::StreamId;
use cloakroom_engine::ports::{LedgerError, Write};
use cloakroom_engine::record::{Key, Record};

use super::DynamoLedger;
use super::item::{self, Item};
use super::key::{self, ItemKey};
use super::table::name;
use super::write::TRIES;

/// From how many names on a reader removes those it has seen.
const MANY: usize = 4;

/// The events that a transaction creates, by stream.
#[derive(Debug, Default)]
pub(crate) struct Together(HashMap<StreamId, Vec<String>>);

impl Together {
    pub(crate) fn of(writes: &[Write]) -> Self {
        let mut together = Self::default();
        for write in writes {
            if let Write::Create(Record::Event(event)) = write {
                let positions = together.0.entry(event.stream.clone()).or_default();
                positions.push(event.position.to_string());
            }
        }
        together
    }

    /// What the head of `stream` must name.
    pub(crate) fn with(&self, stream: &StreamId) -> Option<AttributeValue> {
        self.0.get(stream).cloned().map(AttributeValue::Ss)
    }
}

impl DynamoLedger {
    /// The record of an item, once everything that was written together with it can be seen.
    pub(crate) async fn seen_whole(&self, item: Item) -> Result<Record, LedgerError> {
        let named = match item.get(name::TOGETHER) {
            Some(AttributeValue::Ss(positions)) => positions.clone(),
            _ => Vec::new(),
        };
        let record = self.record(item)?;
        if let Record::Head(head) = &record
            && !named.is_empty()
        {
            self.wait_for(&head.stream, &named).await?;
            if named.len() >= MANY {
                self.forget(&head.stream, named).await;
            }
        }
        Ok(record)
    }

    async fn wait_for(&self, stream: &StreamId, positions: &[String]) -> Result<(), LedgerError> {
        let partition = key::partition_of(stream);
        let of_position = |position: &String| ItemKey {
            partition: partition.clone(),
            sort: format!("{}{position}", key::EVENTS),
        };
        let mut left: Vec<ItemKey> = positions.iter().map(of_position).collect();
        for tries in 1..=TRIES {
            for item in self.get_items(&left).await? {
                let sort = item::text_of(&item, name::SK).unwrap_or_default();
                left.retain(|key| key.sort != sort);
            }
            if left.is_empty() {
                return Ok(());
            }
            self.back_off(tries).await;
        }
        Err(LedgerError::Unavailable(format!(
            "a transaction on {stream} in DynamoDB table {:?} is still being applied",
            self.table
        )))
    }

    /// Removes names of what was seen. It only saves work, so a failure does not matter.
    async fn forget(&self, stream: &StreamId, positions: Vec<String>) {
        let head = key::encode(&Key::Head(stream.clone()));
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::key_item(&head)))
            .update_expression("DELETE #together :positions")
            // Nobody removes heads, but an update would make one.
            .condition_expression("attribute_exists(PK)")
            .expression_attribute_names("#together", name::TOGETHER)
            .expression_attribute_values(":positions", AttributeValue::Ss(positions))
            .send()
            .await;
        if let Err(error) = sent {
            let fault = self.fault("UpdateItem", &error);
            tracing::debug!(%fault, %stream, "what was seen with a head stays named");
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::position::Position;
    use cloakroom_engine::conformance::samples;

    use super::*;

    #[test]
    fn a_head_names_the_events_of_its_own_stream_only() {
        let [a, b] = ["a", "b"].map(|key| StreamId::new("s", key));
        let event = |stream: &StreamId, number| {
            let position = Position::dense(number);
            Write::Create(Record::Event(samples::event(stream, &position, "evt")))
        };
        let admit = Write::Admit {
            stream: a.clone(),
            position: Position::dense(2),
        };
        let together = Together::of(&[event(&a, 1), event(&b, 7), event(&a, 2), admit]);
        let named = ["00000000000000000001", "00000000000000000002"].map(str::to_owned);
        assert_eq!(together.with(&a), Some(AttributeValue::Ss(named.to_vec())));
        assert_eq!(Together::of(&[event(&b, 1)]).with(&a), None);
    }
}
