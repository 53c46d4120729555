//! Read and write units, by AWS's rules, from what was really sent and answered.
//!
//! MiniStack's own `ConsumedCapacity` counts items, not sizes. So the meter follows the table, item by item:
//!
//! - a write costs 1 unit per KB of the larger of the old and the new item, an index entry that appears or goes 1 more;
//! - a failed condition costs what the item in the way would, at least 1;
//! - a read costs 1 unit per 4 KB, a query per 4 KB of all it found, half when it need not be consistent;
//! - in a transaction everything costs double.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_emulators::Exchange;
use serde_json::{Map, Value};

/// What some requests cost.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) writes: f64,
    pub(crate) reads: f64,
}

/// The table as the requests so far left it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    items: HashMap<[String; 2], Map<String, Value>>,
}

impl Meter {
    /// What these requests cost.
    pub(crate) fn measure(&mut self, exchanges: &[Exchange]) -> Cost {
        let mut cost = Cost::default();
        for exchange in exchanges {
            *cost.calls.entry(exchange.action.clone()).or_default() += 1;
            let [request, answer] = [&exchange.request, &exchange.answer]
                .map(|body| serde_json::from_slice(body).unwrap_or(Value::Null));
            let done = exchange.status == 200;
            match exchange.action.as_str() {
                "PutItem" => cost.writes += self.put(&request, done),
                "DeleteItem" => cost.writes += self.delete(&request, done),
                "TransactWriteItems" => {
                    for part in request["TransactItems"].as_array().unwrap() {
                        cost.writes += 2.0 * self.part(part, done);
                    }
                }
                "UpdateItem" => cost.writes += self.update(&request, done),
                "GetItem" => cost.reads += units(size(&answer["Item"]), 4096) * share(&request),
                "Query" => {
                    let found = answer["Items"].as_array().unwrap().iter().map(size).sum();
                    cost.reads += units(found, 4096) * share(&request);
                }
                "BatchGetItem" => cost.reads += batch(&request, &answer),
                "PutObject" | "HeadObject" | "DeleteObject" => {}
                other => panic!("{other} has no price"),
            }
        }
        cost
    }

    /// The sizes of the entries of the ledger.
    pub(crate) fn entries(&self) -> Vec<usize> {
        let entries = self
            .items
            .values()
            .filter(|item| item["kind"]["S"] == "EVENT");
        entries
            .map(|item| size(&Value::Object(item.clone())))
            .collect()
    }

    fn part(&mut self, part: &Value, done: bool) -> f64 {
        let (kind, part) = part.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "Put" => self.put(part, done),
            "Delete" => self.delete(part, done),
            "Update" => self.update(part, done),
            _ => units(self.stored(&part["Key"]), 1024),
        }
    }

    fn put(&mut self, request: &Value, done: bool) -> f64 {
        let item = &request["Item"];
        let old = self.stored(item);
        if !done {
            return units(old, 1024);
        }
        let new = item.as_object().unwrap().clone();
        let before = self.items.insert(key(item), new.clone());
        let indexes = [["heads", "stream"], ["attention", "rank"]];
        let moved = indexes.map(|names| {
            let of = |item: &Map<String, Value>| -> Option<Vec<Value>> {
                names.iter().map(|name| item.get(*name).cloned()).collect()
            };
            match (before.as_ref().and_then(of), of(&new)) {
                (None, None) => 0.0,
                (Some(old), Some(new)) if old == new => 0.0,
                (Some(_), Some(_)) => 2.0,
                _ => 1.0,
            }
        });
        units(old.max(size(item)), 1024) + moved.iter().sum::<f64>()
    }

    fn delete(&mut self, request: &Value, done: bool) -> f64 {
        let cost = units(self.stored(&request["Key"]), 1024);
        if done {
            self.items.remove(&key(&request["Key"]));
        }
        cost
    }

    /// What is added is at most what the request carries.
    fn update(&self, request: &Value, done: bool) -> f64 {
        let added = if done {
            size(&request["ExpressionAttributeValues"])
        } else {
            0
        };
        units(self.stored(&request["Key"]) + added, 1024)
    }

    fn stored(&self, item: &Value) -> usize {
        let stored = self.items.get(&key(item)).cloned();
        stored.map_or(0, |item| size(&Value::Object(item)))
    }
}

fn key(item: &Value) -> [String; 2] {
    ["PK", "SK"].map(|name| item[name]["S"].as_str().unwrap().to_owned())
}

/// At least one.
fn units(bytes: usize, per: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(per).max(1)).unwrap())
}

fn share(request: &Value) -> f64 {
    if request["ConsistentRead"] == true {
        1.0
    } else {
        0.5
    }
}

/// Every item is rounded up by itself; one that is not there costs a unit.
fn batch(request: &Value, answer: &Value) -> f64 {
    let mut cost = 0.0;
    for (table, asked) in request["RequestItems"].as_object().unwrap() {
        let found = answer["Responses"][table].as_array();
        let found = found.map(Vec::as_slice).unwrap_or_default();
        let missing = asked["Keys"].as_array().unwrap().len() - found.len();
        let read: f64 = found.iter().map(|item| units(size(item), 4096)).sum();
        cost += share(asked) * (read + f64::from(u32::try_from(missing).unwrap()));
    }
    cost
}

/// An item's size as DynamoDB counts it: names and values, a number as its digits in pairs and a byte more.
fn size(item: &Value) -> usize {
    let attributes = item.as_object().into_iter().flatten();
    attributes
        .map(|(name, value)| name.len() + size_of_value(value))
        .sum()
}

fn size_of_value(value: &Value) -> usize {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        ("B", Value::String(text)) => STANDARD.decode(text).unwrap().len(),
        ("SS", Value::Array(texts)) => texts.iter().map(|text| text.as_str().unwrap().len()).sum(),
        other => panic!("{other:?} is not stored"),
    }
}
