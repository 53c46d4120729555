//! What wants an operator's attention, as CloudWatch metrics: lines of the log in the embedded metric format, which cost
//! no request and need no permission.
//!
//! The names are what alarms and dashboards are made of; `docs/operations.md` tells what each of them means.

use cloakroom_core::time::Timestamp;
use cloakroom_engine::Counts;
use serde_json::{Value, json};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Cloakroom";
/// The dimension of all metrics: the ledger's table, which tells deployments apart.
pub const DIMENSION: &str = "Table";

/// The metrics: what is the case at this moment, not what has happened since the last.
pub const METRICS: [&str; 5] = [
    "StalledStreams",
    "ParkedStreams",
    "DeadLetters",
    "Quarantined",
    "DisabledSubscriptions",
];

/// The line that makes data points of `counts`.
pub fn line(table: &str, now: Timestamp, counts: &Counts) -> String {
    let values = [
        counts.stalled_streams,
        counts.parked_streams,
        counts.dead_letters,
        counts.quarantined,
        counts.disabled_subscriptions,
    ];
    let metrics = METRICS.map(|name| json!({"Name": name, "Unit": "Count"}));
    let mut line = json!({
        "_aws": {
            "Timestamp": now.as_micros() / 1_000,
            "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics },
            ],
        },
    });
    line[DIMENSION] = Value::from(table);
    for (name, value) in METRICS.into_iter().zip(values) {
        line[name] = Value::from(value);
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_cloudwatch_reads() {
        let counts = Counts {
            stalled_streams: 1,
            parked_streams: 2,
            dead_letters: 3,
            quarantined: 4,
            disabled_subscriptions: 5,
        };
        let now = Timestamp::from_micros(1_790_000_000_123_456);
        assert_eq!(
            line("ledger", now, &counts),
            r#"{"_aws":{"Timestamp":1790000000123,"CloudWatchMetrics":[{"Namespace":"Cloakroom","Dimensions":[["Table"]],"Metrics":[{"Name":"StalledStreams","Unit":"Count"},{"Name":"ParkedStreams","Unit":"Count"},{"Name":"DeadLetters","Unit":"Count"},{"Name":"Quarantined","Unit":"Count"},{"Name":"DisabledSubscriptions","Unit":"Count"}]}]},"Table":"ledger","StalledStreams":1,"ParkedStreams":2,"DeadLetters":3,"Quarantined":4,"DisabledSubscriptions":5}"#
        );
    }
}
