//! Reads of the table itself. All of them are consistent, and read every page.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use cloakroom_core::event::Event;
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::ports::LedgerError;
use cloakroom_engine::record::{Key, Record};

use super::error::{Fault, fault};
use super::item::{self, Item};
use super::key::{self, ItemKey};
use super::table::name;
use super::{DynamoLedger, write};

/// DynamoDB's limit for one BatchGetItem.
const BATCH_MAX: usize = 100;

/// A range of sort keys in one partition, both ends included.
pub(crate) struct Range {
    pub(crate) partition: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl DynamoLedger {
    pub(crate) async fn get_record(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        let key = key::encode(key);
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::key_item(&key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.fault("GetItem", &error))?;
        match answer.item {
            Some(item) => Ok(Some(self.seen_whole(item).await?)),
            None => Ok(None),
        }
    }

    pub(crate) async fn range_of_events(
        &self,
        stream: &StreamId,
        after: Option<&Position>,
        up_to: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Event>, LedgerError> {
        let from = after.map(|after| key::just_behind(&key::event_sort(after)));
        let range = Range {
            partition: key::partition_of(stream),
            from: from.unwrap_or_else(|| key::EVENTS.to_owned()),
            to: up_to.map_or_else(|| key::end_of(key::EVENTS), key::event_sort),
        };
        let items = self.query(&range, limit, true).await?;
        items.into_iter().map(|item| self.event(item)).collect()
    }

    pub(crate) async fn last_of_events(
        &self,
        stream: &StreamId,
    ) -> Result<Option<Event>, LedgerError> {
        let range = Range {
            partition: key::partition_of(stream),
            from: key::EVENTS.to_owned(),
            to: key::end_of(key::EVENTS),
        };
        let last = self.query(&range, 1, false).await?.pop();
        last.map(|item| self.event(item)).transpose()
    }

    /// The items of a range in the order of their sort keys, or from the last one backwards, at most `limit`.
    pub(crate) async fn query(
        &self,
        range: &Range,
        limit: usize,
        forward: bool,
    ) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        // An empty range is an error to DynamoDB.
        if limit == 0 || range.from > range.to {
            return Ok(found);
        }
        let mut start = None;
        loop {
            // A page ends at 1 MB as well, so the limit alone does not tell whether there is more.
            let wanted = i32::try_from(limit - found.len()).ok();
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .expression_attribute_names("#pk", name::PK)
                .expression_attribute_names("#sk", name::SK)
                .expression_attribute_values(":pk", item::text(&range.partition))
                .expression_attribute_values(":from", item::text(&range.from))
                .expression_attribute_values(":to", item::text(&range.to))
                .scan_index_forward(forward)
                .set_limit(wanted)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| self.fault("Query", &error))?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// The records under these keys, which must differ, as far as they exist.
    pub(crate) async fn get_all(
        &self,
        keys: &[ItemKey],
    ) -> Result<HashMap<ItemKey, Record>, LedgerError> {
        let mut found = HashMap::new();
        for item in self.get_items(keys).await? {
            let key = item_key(&item).map_err(|error| self.corrupt(None, &error))?;
            found.insert(key, self.seen_whole(item).await?);
        }
        Ok(found)
    }

    /// The items under these keys, which must differ, as far as they exist.
    pub(crate) async fn get_items(&self, keys: &[ItemKey]) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        for keys in keys.chunks(BATCH_MAX) {
            let mut left: Vec<Item> = keys.iter().map(item::key_item).collect();
            let mut tries = 0;
            while !left.is_empty() {
                let wanted = left.len();
                let (items, unprocessed) = self.get_batch(left).await?;
                found.extend(items);
                left = unprocessed;
                // A batch is cut at 16 MB: going on is then progress, not a failure.
                tries = if left.len() < wanted { 0 } else { tries + 1 };
                if tries >= write::TRIES {
                    let text = format!("BatchGetItem on table {:?} is throttled", self.table);
                    return Err(LedgerError::Unavailable(text));
                }
                if !left.is_empty() {
                    self.back_off(tries).await;
                }
            }
        }
        Ok(found)
    }

    /// The items, and the keys that were not processed.
    async fn get_batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), LedgerError> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .expect("the keys are given");
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send()
            .await
            .map_err(|error| self.fault("BatchGetItem", &error))?;
        let items = answer.responses.unwrap_or_default();
        let unprocessed = answer.unprocessed_keys.unwrap_or_default();
        Ok((
            items.into_values().flatten().collect(),
            unprocessed
                .into_values()
                .flat_map(|keys| keys.keys)
                .collect(),
        ))
    }

    /// Waits before another try: a random time up to a bound that doubles with each.
    pub(crate) async fn back_off(&self, tries: u32) {
        const FIRST_MICROS: u64 = 20_000;
        const MAX_MICROS: u64 = 1_000_000;
        let bound = FIRST_MICROS
            .saturating_mul(1 << tries.min(16))
            .min(MAX_MICROS);
        let wait = Duration::from_micros(self.entropy.next() % bound);
        self.clock.sleep_until(self.clock.now().after(wait)).await;
    }

    pub(crate) fn record(
        &self,
        item: HashMap<String, AttributeValue>,
    ) -> Result<Record, LedgerError> {
        let key = item_key(&item).ok();
        item::decode(item).map_err(|error| self.corrupt(key.as_ref(), &error))
    }

    fn event(&self, item: Item) -> Result<Event, LedgerError> {
        let key = item_key(&item).ok();
        match self.record(item)? {
            Record::Event(event) => Ok(event),
            _ => Err(self.corrupt(
                key.as_ref(),
                &"it is under the key of an event, but is none",
            )),
        }
    }

    pub(crate) fn corrupt(
        &self,
        key: Option<&ItemKey>,
        why: &dyn std::fmt::Display,
    ) -> LedgerError {
        let place = key.map_or_else(
            || "an item".to_owned(),
            |key| format!("item {:?} {:?}", key.partition, key.sort),
        );
        LedgerError::Corrupt(format!("{place} of table {:?}: {why}", self.table))
    }

    pub(crate) fn fault<E, R>(&self, action: &str, error: &SdkError<E, R>) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        fault(action, &self.table, &self.region, error)
    }
}

fn item_key(item: &Item) -> Result<ItemKey, item::ItemError> {
    Ok(ItemKey {
        partition: item::text_of(item, name::PK)?.to_owned(),
        sort: item::text_of(item, name::SK)?.to_owned(),
    })
}
