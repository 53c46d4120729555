//! An EventBridge bus.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use cloakroom_core::id::STATE_SOURCE;
use cloakroom_core::text::Mistake;
use cloakroom_engine::catalog::configured_name;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};

use super::failure::Call;
use super::place::{arn, in_region_of};
use super::{SendOne, TIMEOUT, each, envelope};
use crate::client::within;
use crate::fault::Refused;

/// What an entry may hold: detail, source, detail type and time. A little less than EventBridge takes in all.
const ENTRY_MAX: usize = 1_000_000;

/// The longest detail type, in characters.
const DETAIL_TYPE_MAX: usize = 128;

/// What EventBridge counts for an entry's time.
const TIME_SIZE: usize = 14;

/// Puts events onto an EventBridge bus, which keeps no order and may double.
///
/// | entry | event |
/// | --- | --- |
/// | `Detail` | the whole structured CloudEvent, so a rule can match `detail.type`, `detail.partitionkey`, `detail.data.…` |
/// | `Source` | `cloakroom.{source}`, e.g. `cloakroom.transfers`; `cloakroom` for Cloakroom's own state changes |
/// | `DetailType` | the CloudEvent's `type`, cut to 128 characters |
/// | `Time` | when it happened, or else when it was accepted |
#[derive(Debug)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus with this name or ARN.
    ///
    /// # Errors
    /// When it is neither.
    pub fn new(sdk: &SdkConfig, bus: &str) -> Result<Self, Mistake> {
        let found = arn(bus, "events");
        let is_name = !bus.is_empty()
            && bus
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        let is_bus = found
            .as_ref()
            .map_or(is_name, |arn| arn.resource.starts_with("event-bus/"));
        if !is_bus {
            return Err(Mistake::new(
                format!("{bus:?} is neither the ARN of an event bus nor its name"),
                "write it as in `arn:aws:events:eu-west-1:111122223333:event-bus/webhooks`",
            ));
        }
        let sdk = within(&in_region_of(sdk, found.as_ref()), TIMEOUT);
        Ok(Self {
            client: Client::new(&sdk),
            bus: bus.to_owned(),
        })
    }
}

impl SendOne for EventBridge {
    async fn send_one(&self, outgoing: &Outgoing) -> Result<(), Outcome> {
        let entry = entry(&self.bus, outgoing)?;
        let call = Call {
            action: "events:PutEvents",
            what: "bus",
            target: &self.bus,
        };
        let answer = match self.client.put_events().entries(entry).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(call.failed(&error)),
        };
        // The call succeeds even when its entry does not.
        let refused = answer
            .entries()
            .iter()
            .find(|entry| entry.error_code().is_some());
        match refused {
            None if answer.failed_entry_count() == 0 => Ok(()),
            refused => {
                let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
                Err(call.refused(&Refused {
                    code: text(refused.and_then(|entry| entry.error_code())),
                    message: text(refused.and_then(|entry| entry.error_message())),
                    ..Refused::default()
                }))
            }
        }
    }
}

/// The event as an entry for this bus.
fn entry(bus: &str, outgoing: &Outgoing) -> Result<PutEventsRequestEntry, Outcome> {
    let event = &outgoing.event;
    let source = source(configured_name(&event.stream.source));
    let detail_type = detail_type(outgoing);
    let room = ENTRY_MAX - source.len() - detail_type.len() - TIME_SIZE;
    let detail = envelope::text(outgoing, room, "EventBridge")?;
    let time = event.time.unwrap_or(event.recorded);
    Ok(PutEventsRequestEntry::builder()
        .event_bus_name(bus)
        .source(source)
        .detail_type(detail_type)
        .time(DateTime::from_secs(time.as_secs()))
        .detail(detail)
        .build())
}

fn source(name: &str) -> String {
    match name {
        STATE_SOURCE => STATE_SOURCE.to_owned(),
        name => format!("{STATE_SOURCE}.{name}"),
    }
}

fn detail_type(outgoing: &Outgoing) -> String {
    let view = outgoing.cloud_event().filter_view(false);
    let text = view.get("type").and_then(|value| value.as_str());
    let text = text.unwrap_or_default();
    text.chars().take(DETAIL_TYPE_MAX).collect()
}

#[async_trait]
impl Sink for EventBridge {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        each(self, events).await
    }

    fn kind(&self) -> &'static str {
        "eventbridge"
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::time::Timestamp;

    use super::*;
    use crate::sinks::envelope::tests::outgoing;

    #[test]
    fn an_entry_tells_when_the_event_happened() {
        let mut outgoing = outgoing("1", None);
        let secs = |outgoing: &Outgoing| entry("bus", outgoing).unwrap().time().unwrap().secs();
        assert_eq!(secs(&outgoing), 1_800_000_000);
        outgoing.event.time = Some(Timestamp::from_secs(1_700_000_000));
        assert_eq!(secs(&outgoing), 1_700_000_000);
    }

    #[test]
    fn entries_say_where_events_come_from() {
        assert_eq!(source("transfers"), "cloakroom.transfers");
        assert_eq!(source("cloakroom"), "cloakroom");
        let mut outgoing = outgoing("1", None);
        assert_eq!(detail_type(&outgoing), "transfer.updated");
        outgoing.event.event_type = "ż".repeat(200);
        assert_eq!(detail_type(&outgoing).chars().count(), DETAIL_TYPE_MAX);
    }
}
