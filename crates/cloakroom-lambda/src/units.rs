//! What a webhook asks of AWS, by situation: measured, not assumed. The test `tests/aws/cost.rs` sends webhooks through the
//! functions and fails when a number in `units.json` is not what it measures.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// What this is, for those who open the file.
    pub about: String,
    /// The size of the payloads that were sent.
    pub payload_bytes: u64,
    /// What an entry of the ledger takes besides its payload. Keys and types make a few bytes more or less.
    pub entry_overhead_bytes: u64,
    /// What they cost, by situation.
    pub situations: BTreeMap<String, Requests>,
}

/// What something asks of AWS.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// What happens.
    pub about: String,
    /// How many requests of each kind to DynamoDB and S3.
    pub calls: BTreeMap<String, u64>,
    /// Write units of DynamoDB.
    pub writes: f64,
    /// Read units of DynamoDB.
    pub reads: f64,
    /// Messages to the doorbell queue.
    pub doorbells: u64,
}

impl Units {
    /// What was measured last.
    pub fn measured() -> Self {
        serde_json::from_str(include_str!("../units.json")).expect("a test reads this file")
    }

    /// What a situation costs.
    ///
    /// # Panics
    /// When there is no such situation in the file.
    pub fn of(&self, situation: &str) -> &Requests {
        let found = self.situations.get(situation);
        found.unwrap_or_else(|| panic!("{situation} was not measured"))
    }
}
