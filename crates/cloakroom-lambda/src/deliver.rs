//! The doorbell queue: one delivery at a time for each subscription and stream.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::{Bell, Due};
use futures::future::join_all;
use serde_json::Value;

use crate::answer::{BatchAnswer, HandlerError};
use crate::host::Host;
use crate::message::Doorbell;

/// A wait as short as this is waited out here: a message that comes back costs more.
const WAITED_OUT: Duration = Duration::from_secs(2);

/// Delivers what the messages of a FIFO queue ring for; the invocation is ended at `ends`. Groups are worked on at once,
/// the messages of a group in their order. At the first failure of a group, that message and all later ones of the group
/// are left to come again.
///
/// # Errors
/// When the event is none of a queue.
pub async fn deliver(
    host: &Host,
    event: Value,
    ends: Option<Timestamp>,
) -> Result<BatchAnswer, HandlerError> {
    let deadline = host.deadline(ends);
    let groups = groups(messages(event)?);
    let failed = join_all(groups.iter().map(|group| drain(host, group, deadline))).await;
    Ok(BatchAnswer::failed(failed.into_iter().flatten()))
}

/// The messages of a queue's event.
pub(crate) fn messages(event: Value) -> Result<Vec<SqsMessage>, HandlerError> {
    let event: SqsEvent = serde_json::from_value(event).map_err(|error| HandlerError::Event {
        found: format!("not readable ({:?})", error.classify()),
        expected: "a batch of messages of an SQS queue",
    })?;
    Ok(event.records)
}

/// The messages by group, each group in the order of the queue.
fn groups(messages: Vec<SqsMessage>) -> Vec<Vec<SqsMessage>> {
    let mut groups: Vec<(Option<String>, Vec<SqsMessage>)> = Vec::new();
    for message in messages {
        let name = message.attributes.get("MessageGroupId").cloned();
        match groups.iter_mut().find(|(group, _)| *group == name) {
            Some((_, members)) => members.push(message),
            None => groups.push((name, vec![message])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Works through a group. The names of the messages that are to come again.
async fn drain(host: &Host, group: &[SqsMessage], deadline: Option<Timestamp>) -> Vec<String> {
    let mut done = 0;
    while done < group.len() {
        let Some((bell, together)) = next(&group[done..]) else {
            let message_id = group[done].message_id.as_deref();
            tracing::error!(message_id, "a message is no doorbell");
            break;
        };
        if host.is_over(deadline) {
            break;
        }
        if let Err(error) = attend(host, bell, deadline).await {
            tracing::error!(error, "delivering failed");
            break;
        }
        done += together;
    }
    let left = group[done..].iter();
    left.map(|message| message.message_id.clone().unwrap_or_default())
        .collect()
}

/// What the first of these messages rings for, and how many from there on ring for the same: one look answers them all,
/// up to the highest position that one of them tells of. One without a position asks for the head.
fn next(messages: &[SqsMessage]) -> Option<(Bell, usize)> {
    let mut first = read(messages.first()?)?;
    let mut together = 1;
    while let Some(bell) = messages.get(together).and_then(read)
        && bell.due == first.due
    {
        first.released_up_to = higher(first.released_up_to, bell.released_up_to);
        together += 1;
    }
    Some((first, together))
}

fn higher(a: Option<Position>, b: Option<Position>) -> Option<Position> {
    a.zip(b).map(|(a, b)| a.max(b))
}

/// The bell in a message.
pub(crate) fn read(message: &SqsMessage) -> Option<Bell> {
    let doorbell: Doorbell = serde_json::from_str(message.body.as_deref()?).ok()?;
    Some(doorbell.into())
}

/// Delivers, waits a short wait out, and passes on what is left for later.
async fn attend(host: &Host, bell: Bell, deadline: Option<Timestamp>) -> Result<(), String> {
    let Due::Deliver(subscription, stream) = &bell.due else {
        return Err("a message of the doorbell queue asks for something else".to_owned());
    };
    let mut released_up_to = bell.released_up_to;
    loop {
        let rung = host
            .stepper
            .deliver(subscription, stream, released_up_to.take(), deadline)
            .await
            .map_err(|error| error.to_string())?;
        let soon = rung.iter().filter_map(|bell| bell.at).max();
        let soon = soon.filter(|at| {
            at.since(host.clock.now()) <= WAITED_OUT && deadline.is_none_or(|end| *at < end)
        });
        match soon {
            Some(at) if rung.len() == 1 => host.clock.sleep_until(at).await,
            _ => {
                let passed = host.rings.pass_all_on(rung).await;
                return passed.map_err(|error| error.to_string());
            }
        }
    }
}
