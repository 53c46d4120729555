//! `subscriptions.*`: the consumers.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::STATE_SOURCE;
use super::diagnostic::Mistake;
use super::sink::Sink;
use super::text::{TextSchema, text_value};
use super::units::DurationText;
use crate::id::SourceName;

/// A consumer: which events, where to, and what when it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The sources whose events it takes; `"*"` for every configured one. `cloakroom` gives state changes as events.
    #[schemars(example = example_sources(), length(min = 1))]
    pub sources: Vec<SourceRef>,
    /// Takes only the events that match: an EventBridge event pattern over the CloudEvent. Everything without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = example_filter())]
    pub filter: Option<Filter>,
    /// Where the events go.
    #[schemars(example = example_sink())]
    pub sink: Sink,
    /// What happens when a delivery fails.
    #[serde(default)]
    pub retry: Retry,
    /// What happens when the retries are spent.
    #[serde(default)]
    pub exhausted: Exhausted,
    /// Where a new subscription begins.
    #[serde(default)]
    pub from: From,
    /// `false` stops deliveries and keeps the place; unsettled events are kept meanwhile.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

fn example_sources() -> Value {
    serde_json::json!(["transfers"])
}

fn example_filter() -> Value {
    serde_json::json!({ "type": [{ "prefix": "transfer." }] })
}

fn example_sink() -> Value {
    serde_json::json!({ "http": { "url": "https://billing.example/hooks", "secret": "env:BILLING_SECRET" } })
}

impl Subscription {
    /// Whether the subscription takes events of `source`, before its filter.
    pub fn takes(&self, source: &SourceName) -> bool {
        self.sources.iter().any(|wanted| match wanted {
            SourceRef::All => source.as_str() != STATE_SOURCE,
            SourceRef::Named(name) => name == source,
        })
    }
}

/// A source by name, or `*` for every configured one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef {
    /// Every configured source; not Cloakroom's own state changes.
    All,
    /// This one.
    Named(SourceName),
}

impl FromStr for SourceRef {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        match text {
            "*" => Ok(Self::All),
            name => Ok(Self::Named(name.into())),
        }
    }
}

impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Named(name) => fmt::Display::fmt(name, f),
        }
    }
}

text_value!(
    SourceRef,
    TextSchema {
        format: "cloakroom-source",
        pattern: "^(\\*|[a-z0-9][a-z0-9_-]{0,62})$",
        examples: &["transfers", "*"],
    }
);

/// An EventBridge event pattern, as written.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Filter(serde_json::Map<String, Value>);

impl Filter {
    /// The pattern as JSON.
    pub fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Map::deserialize(deserializer).map(Self)
    }
}

/// What happens when a delivery fails: tried again after a random time of at most `base`, doubled with every attempt,
/// up to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// All tries, the first included.
    #[schemars(range(min = 1))]
    pub attempts: u32,
    /// The longest wait before the second try.
    pub base: DurationText,
    /// The longest wait between two tries. A consumer's `Retry-After` wins.
    pub max: DurationText,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 10,
            base: DurationText::from_secs(1),
            max: DurationText::from_secs(600),
        }
    }
}

/// What happens when the retries are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Exhausted {
    /// Stop the stream for this subscription until an operator retries or skips: nothing is sent out of order.
    #[default]
    Park,
    /// Pass the event over, on record, and go on with the next.
    DeadLetter,
}

/// Where a new subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum From {
    /// With the events recorded after its name was first configured.
    #[default]
    Now,
    /// With the oldest events that are kept.
    Earliest,
}
