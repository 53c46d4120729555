//! Indexes, page by page.
//!
//! What belongs to one stream, and the quarantine of one source, is a range of the table itself. The other lists are spread
//! over shards of a keys-only index; they are merged in order, and their records then read from the table.

use std::collections::{HashSet, VecDeque};

use cloakroom_engine::ports::{Index, LedgerError, Page};
use cloakroom_engine::record::Record;
use futures::future::try_join_all;

use super::DynamoLedger;
use super::item::{self, Item};
use super::key::{self, ItemKey, List, Place};
use super::read::Range;
use super::table::name;

/// A part of a list: the ranks in each shard, both ends included.
struct Slice {
    list: List,
    from: String,
    to: String,
}

/// One listed item.
struct Entry {
    key: ItemKey,
    rank: String,
}

/// One shard of a list while it is merged with the others.
struct Shard {
    partition: String,
    /// Read ahead, in order.
    entries: VecDeque<Entry>,
    /// Where the next page starts; `None` before the first page and behind the last.
    start: Option<Item>,
    ended: bool,
}

impl DynamoLedger {
    pub(crate) async fn list_page(
        &self,
        index: &Index,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        if limit == 0 {
            return Ok(Page::default());
        }
        let of_table = |partition: String, prefix: &str| Range {
            partition,
            from: prefix.to_owned(),
            to: key::end_of(prefix),
        };
        let of_index = |list, prefix: String| Slice {
            list,
            to: key::end_of(&prefix),
            from: prefix,
        };
        // No rank sorts below a letter or digit, or behind `~`.
        let all = |list| Slice {
            list,
            from: "!".to_owned(),
            to: "\u{10ffff}".to_owned(),
        };
        let slice = match index {
            Index::Notes(stream, position) => {
                let range = of_table(key::partition_of(stream), &key::note_prefix(position));
                return self.page_of_table(range, cursor, limit).await;
            }
            Index::Superseded(stream) => {
                let range = of_table(key::partition_of(stream), key::SUPERSEDED);
                return self.page_of_table(range, cursor, limit).await;
            }
            Index::Passed(subscription, stream) => {
                let prefix = key::passed_prefix(subscription);
                let range = of_table(key::partition_of(stream), &prefix);
                return self.page_of_table(range, cursor, limit).await;
            }
            Index::Quarantine(Some(source)) => {
                let range = of_table(key::quarantine_partition(source), key::QUARANTINED);
                return self.page_of_table(range, cursor, limit).await;
            }
            Index::Quarantine(None) => all(List::Quarantine),
            Index::Heads(None) => all(List::Heads),
            Index::Heads(Some(source)) => of_index(List::Heads, format!("{source}#")),
            Index::DeadLetters(None) => all(List::DeadLetters),
            Index::DeadLetters(Some(subscription)) => {
                of_index(List::DeadLetters, format!("{subscription}#"))
            }
            Index::Attention { kind, due } => Slice {
                to: key::end_of(&format!("{}#", key::due_rank(*due))),
                ..all(List::Attention(*kind))
            },
        };
        self.page_of_index(slice, cursor, limit).await
    }

    /// The cursor is the last sort key.
    async fn page_of_table(
        &self,
        mut range: Range,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        if let Some(cursor) = cursor {
            range.from = range.from.max(key::just_behind(cursor));
        }
        // One more than asked for tells whether there is a next page.
        let mut items = self.query(&range, limit.saturating_add(1), true).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next = last
            .map(|item| item::text_of(item, name::SK).map(str::to_owned))
            .transpose()
            .map_err(|error| self.corrupt(None, &error))?;
        let records: Result<_, _> = items.into_iter().map(|item| self.record(item)).collect();
        Ok(Page {
            records: records?,
            next,
        })
    }

    /// The cursor is the last rank.
    async fn page_of_index(
        &self,
        mut slice: Slice,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        if let Some(cursor) = cursor {
            slice.from = slice.from.max(key::just_behind(cursor));
        }
        loop {
            let mut entries = self.merge(&slice, limit.saturating_add(1)).await?;
            let more = entries.len() > limit;
            entries.truncate(limit);
            let last = entries.last().filter(|_| more);
            let next = last.map(|entry| entry.rank.clone());
            let records = self.listed(slice.list, entries).await?;
            match &next {
                // The index was behind with all of them: there is no such thing as an empty page with another behind it.
                Some(rank) if records.is_empty() => slice.from = key::just_behind(rank),
                _ => return Ok(Page { records, next }),
            }
        }
    }

    /// The records of these entries, without those that the index is behind with: they are gone, or listed elsewhere by now.
    async fn listed(&self, list: List, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        let different: HashSet<ItemKey> = entries.iter().map(|entry| entry.key.clone()).collect();
        let keys: Vec<ItemKey> = different.into_iter().collect();
        let mut found = self.get_all(&keys).await?;
        let here = |record: &Record, entry: &Entry| {
            place_in(list, record).is_some_and(|place| place.rank == entry.rank)
        };
        let records = entries.into_iter().filter_map(|entry| {
            let record = found.remove(&entry.key)?;
            if here(&record, &entry) {
                return Some(record);
            }
            // Listed twice, once at its old rank: its new one may come in this very page.
            found.insert(entry.key, record);
            None
        });
        Ok(records.collect())
    }

    /// The first entries of a slice over all shards, in the order of their ranks.
    async fn merge(&self, slice: &Slice, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        let mut merged = Vec::new();
        if slice.from > slice.to {
            return Ok(merged);
        }
        // Somewhat more than an even share from each shard, so that most pages need no second round.
        let share = (limit / usize::from(key::SHARDS)).saturating_mul(2);
        let page = i32::try_from(share.saturating_add(4).min(limit)).unwrap_or(i32::MAX);
        let first = (0..key::SHARDS).map(|number| async move {
            let mut shard = Shard {
                partition: slice.list.partition(number),
                entries: VecDeque::new(),
                start: None,
                ended: false,
            };
            self.read_on(slice, &mut shard, page).await?;
            Ok::<_, LedgerError>(shard)
        });
        let mut shards = try_join_all(first).await?;
        while merged.len() < limit {
            for shard in &mut shards {
                while shard.entries.is_empty() && !shard.ended {
                    self.read_on(slice, shard, page).await?;
                }
            }
            let lowest = shards
                .iter_mut()
                .filter(|shard| !shard.entries.is_empty())
                .min_by(|a, b| a.entries[0].rank.cmp(&b.entries[0].rank));
            match lowest.and_then(|shard| shard.entries.pop_front()) {
                Some(entry) => merged.push(entry),
                None => break,
            }
        }
        Ok(merged)
    }

    /// Reads the next page of a shard. Indexes know no consistent reads.
    async fn read_on(
        &self,
        slice: &Slice,
        shard: &mut Shard,
        page: i32,
    ) -> Result<(), LedgerError> {
        let (index, rank) = match slice.list {
            List::Heads => (name::HEADS, name::STREAM),
            List::Attention(_) | List::DeadLetters | List::Quarantine => {
                (name::ATTENTION, name::RANK)
            }
        };
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .key_condition_expression("#shard = :shard AND #rank BETWEEN :from AND :to")
            .expression_attribute_names("#shard", index)
            .expression_attribute_names("#rank", rank)
            .expression_attribute_values(":shard", item::text(&shard.partition))
            .expression_attribute_values(":from", item::text(&slice.from))
            .expression_attribute_values(":to", item::text(&slice.to))
            .limit(page)
            .set_exclusive_start_key(shard.start.take())
            .send()
            .await
            .map_err(|error| self.fault("Query", &error))?;
        for item in answer.items.unwrap_or_default() {
            let text = |name| {
                let text = item::text_of(&item, name).map(str::to_owned);
                text.map_err(|error| self.corrupt(None, &error))
            };
            shard.entries.push_back(Entry {
                key: ItemKey {
                    partition: text(name::PK)?,
                    sort: text(name::SK)?,
                },
                rank: text(rank)?,
            });
        }
        shard.start = answer.last_evaluated_key;
        shard.ended = shard.start.is_none();
        Ok(())
    }
}

/// Where the list's index has the record, if it is in that list.
fn place_in(list: List, record: &Record) -> Option<Place> {
    let place = match list {
        List::Heads => key::heads_place(record)?,
        List::Attention(_) | List::DeadLetters | List::Quarantine => key::attention_place(record)?,
    };
    // The shard is a function of the key, so any of the list's partitions is the right one.
    (0..key::SHARDS)
        .any(|shard| list.partition(shard) == place.partition)
        .then_some(place)
}
