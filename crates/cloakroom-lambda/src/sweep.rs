//! Schedules and the timers queue: what is due, and what nobody rang for.

use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::{Bell, Due, DueCursor, StoreError};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{BatchAnswer, HandlerError};
use crate::deliver::{messages, read};
use crate::gauges;
use crate::host::Host;
use crate::resequence::look;

/// How many records a step reads.
const SLICE: usize = 100;
/// How many streams are resequenced at once.
const STREAMS_AT_ONCE: usize = 16;
/// How far back the daily look for unreferenced claims goes.
const RECLAIMED_SINCE: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// What a schedule asks for, in its input; anything without a `task` is a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// What is due, then the rolling sweep: every minute.
    #[default]
    Sweep,
    /// What nothing refers to any more, of the last days: once a day.
    Reclaim,
}

/// What came of a schedule's call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many bells were due.
    pub due: usize,
    /// How many bells nobody had rung for.
    pub forgotten: usize,
    /// Whether the rolling sweep came round to its beginning.
    pub round: bool,
    /// How many unreferenced claims were removed.
    pub reclaimed: u64,
}

/// Does what a schedule asks for, or what the messages of the timers queue ring for; the invocation is ended at `ends`.
///
/// # Errors
/// When a store fails: what was found until then is rung for, and the sweep's place is kept.
pub async fn sweep(
    host: &Host,
    event: Value,
    ends: Option<Timestamp>,
) -> Result<Value, HandlerError> {
    let deadline = host.deadline(ends);
    let answer = if event.get("Records").is_some() {
        serde_json::to_value(timers(host, event, deadline).await?)
    } else {
        serde_json::to_value(scheduled(host, &event, deadline).await?)
    };
    Ok(answer.expect("an answer is plain data"))
}

async fn scheduled(
    host: &Host,
    event: &Value,
    deadline: Option<Timestamp>,
) -> Result<Summary, HandlerError> {
    let task = match event.get("task") {
        None => Task::Sweep,
        Some(task) => Task::deserialize(task).map_err(|_| HandlerError::Event {
            found: format!("a schedule's with the task {task}"),
            expected: "`sweep` or `reclaim`",
        })?,
    };
    let mut summary = Summary::default();
    match task {
        Task::Sweep => {
            // What is due does not wait for a rolling sweep that fails, nor the other way round.
            let due = attend_due(host, deadline, &mut summary).await;
            // Before the rolling sweep, which takes all the time that there is.
            let counted = count(host).await;
            let rolled = roll_on(host, deadline, &mut summary).await;
            due.and(counted).and(rolled)?;
        }
        Task::Reclaim => reclaim(host, deadline, &mut summary).await?,
    }
    // An alarm counts what was forgotten: that is what pipes that are late leave to be found.
    tracing::info!(
        due = summary.due,
        forgotten = summary.forgotten,
        round = summary.round,
        reclaimed = summary.reclaimed,
        "swept"
    );
    Ok(summary)
}

/// Everything that is due in the attention index.
async fn attend_due(
    host: &Host,
    deadline: Option<Timestamp>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let mut from = Some(DueCursor::default());
    while let Some(cursor) = from
        && !host.is_over(deadline)
    {
        let (bells, next) = host.stepper.due(cursor, SLICE).await?;
        summary.due += bells.len();
        ring(host, bells, deadline).await;
        from = next;
    }
    Ok(())
}

/// Tells what wants an operator's attention.
async fn count(host: &Host) -> Result<(), StoreError> {
    let counts = host.stepper.counts().await?;
    (host.tell)(&gauges::line(&host.table, host.clock.now(), &counts));
    Ok(())
}

/// Slices of the rolling sweep, from where the last call left off, until it has been round or the time is over.
async fn roll_on(
    host: &Host,
    deadline: Option<Timestamp>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let mut cursor = host.stepper.sweep_cursor().await?;
    let mut failed = None;
    while !host.is_over(deadline) {
        let before = cursor.clone();
        let swept = host.stepper.sweep(cursor, SLICE).await;
        summary.forgotten += swept.bells.len();
        ring(host, swept.bells, deadline).await;
        cursor = swept.next;
        // Where not even the list could be read, the place stays as it is.
        let stuck = swept.failed.is_some() && cursor == before;
        if let Some(error) = swept.failed {
            tracing::error!(%error, "a stream could not be visited");
            failed = failed.or(Some(error));
        }
        if stuck {
            break;
        }
        if cursor.is_none() {
            summary.round = true;
            break;
        }
    }
    host.stepper.keep_sweep_cursor(cursor.as_deref()).await?;
    failed.map_or(Ok(()), Err)
}

async fn reclaim(
    host: &Host,
    deadline: Option<Timestamp>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let since = host.clock.now().before(RECLAIMED_SINCE);
    let work = host.stepper.reclaim(Some(since));
    let reclaimed = match deadline {
        None => work.await?,
        Some(deadline) => tokio::select! {
            reclaimed = work => reclaimed?,
            () = host.clock.sleep_until(deadline) => {
                tracing::warn!("no time was left to look for all unreferenced claims; give this function more");
                return Ok(());
            }
        },
    };
    summary.reclaimed = reclaimed.removed;
    Ok(())
}

/// Resequences here, and sends deliveries on. What fails is found again: it stays due, or behind.
async fn ring(host: &Host, bells: Vec<Bell>, deadline: Option<Timestamp>) {
    let now = host.clock.now();
    let (mut streams, mut others) = (Vec::new(), Vec::new());
    for bell in bells {
        let is_due = bell.at.is_none_or(|at| at <= now);
        match bell.due {
            Due::Resequence(stream) if is_due => streams.push(stream),
            _ => others.push(bell),
        }
    }
    if let Err(error) = host.rings.pass_all_on(others).await {
        tracing::error!(%error, "a doorbell was not rung");
    }
    let looks = futures::stream::iter(streams).map(async |stream| {
        if !host.is_over(deadline) {
            look(host, &stream).await;
        }
    });
    looks
        .buffer_unordered(STREAMS_AT_ONCE)
        .collect::<()>()
        .await;
}

/// Messages of the timers queue: each for itself, in any order.
async fn timers(
    host: &Host,
    event: Value,
    deadline: Option<Timestamp>,
) -> Result<BatchAnswer, HandlerError> {
    let work = messages(event)?.into_iter().map(async |message| {
        let done = match read(&message) {
            _ if host.is_over(deadline) => false,
            None => {
                let message_id = message.message_id.as_deref();
                tracing::error!(message_id, "a message is no doorbell");
                false
            }
            Some(bell) => match &bell.due {
                Due::Resequence(stream) => look(host, stream).await,
                Due::Deliver(..) => match host.rings.pass_all_on(vec![bell]).await {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::error!(%error, "a doorbell was not rung");
                        false
                    }
                },
            },
        };
        (!done).then(|| message.message_id.unwrap_or_default())
    });
    let failed = futures::future::join_all(work).await;
    Ok(BatchAnswer::failed(failed.into_iter().flatten()))
}
