//! `sources.*`: the endpoints that providers send to.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::schema::bare;
use super::selector::Selector;
use super::units::{Bytes, DurationText};
use super::verify::{SchemeName, Verify};
use crate::id::SourceName;

/// An endpoint that a provider sends webhooks to: `POST /in/<name>`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// How the webhooks are signed. Without it nothing is verified, which is refused unless the server listens on
    /// loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = example_verify())]
    pub verify: Option<Verify>,
    /// The provider's id of an event: a webhook that comes again under the same id is a duplicate. Default from the
    /// scheme, then `header:webhook-id`, then the SHA-256 of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"header:webhook-id")]
    pub id: Option<Selector>,
    /// The ordering key: events with the same key form one stream.
    pub key: Selector,
    /// The CloudEvents `type`. Default `cloakroom.<source>.received`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"body:/type")]
    pub event_type: Option<Selector>,
    /// The CloudEvents `time`. Default: when the webhook was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"body:/createdAt")]
    pub time: Option<Selector>,
    /// In which order the events of one stream leave.
    pub order: Order,
    /// When the provider is answered.
    pub ack: Ack,
    /// Raise by one to start new streams after a change of `order` or `key`. Part of every stream's id.
    #[schemars(range(min = 1))]
    pub generation: u32,
    /// Payloads above this size are refused with 413. Default `claims.max_payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"10MiB")]
    pub max_payload: Option<Bytes>,
    /// How long a body may stay silent before the request is given up. Default `server.read_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"30s")]
    pub read_timeout: Option<DurationText>,
    /// How long a whole body may take. Default `server.body_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"1h")]
    pub body_timeout: Option<DurationText>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            verify: None,
            id: None,
            key: "const:all".parse().expect("the default key is a selector"),
            event_type: None,
            time: None,
            order: Order::default(),
            ack: Ack::default(),
            generation: 1,
            max_payload: None,
            read_timeout: None,
            body_timeout: None,
        }
    }
}

impl Source {
    /// The signature scheme; `none` where `verify` is left out.
    pub fn scheme(&self) -> SchemeName {
        self.verify
            .as_ref()
            .map_or(SchemeName::None, |verify| verify.scheme)
    }

    /// The CloudEvents `type` of events of the source `name` that say nothing of their own.
    pub fn default_event_type(name: &SourceName) -> String {
        format!("cloakroom.{name}.received")
    }
}

/// When the provider is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[schemars(transform = delivered_alone)]
pub enum Ack {
    /// Once payload and ledger entry are durable.
    #[default]
    Stored,
    /// Once every subscription has settled the event, or the time is up. The event is durable either way.
    Delivered {
        /// How long to wait for the consumers.
        #[serde(default = "ack_timeout")]
        timeout: DurationText,
    },
}

fn delivered_alone(schema: &mut Schema) {
    bare(schema, &["delivered"]);
}

fn ack_timeout() -> DurationText {
    DurationText::from_secs(10)
}

fn example_verify() -> serde_json::Value {
    serde_json::json!({ "scheme": "standard-webhooks", "secrets": ["env:TRANSFERS_SECRET"] })
}
