//! Schedules, the timers queue and the pipes' dead letters: what is due, and what nobody rang for.
//!
//! A rolling sweep of every stream reads some items of each, so it goes round slowly: a hundred streams a minute.
//! Nothing waits for it while all is well: what is due is listed, and what moves rings. When doorbells were given up, it
//! goes round at once.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
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
/// How many streams a schedule's call visits: at about five reads each, some dollars a month however many there are.
const STREAMS_A_CALL: usize = 100;
/// How far back the first look for unreferenced claims goes; later ones begin where the last one ended.
const RECLAIMED_SINCE: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// What a schedule asks for, in its input; anything without a `task` is a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Task {
    /// What is due, then a slice of the rolling sweep: every minute.
    #[default]
    Sweep,
    /// The whole of the rolling sweep, as far as the time allows: for operators.
    Round,
    /// What nothing refers to any more, of what was written since the last time: once a day.
    Reclaim,
    /// The same, of all times: reads every payload's labels. For operators.
    ReclaimAll,
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

/// Does what a schedule asks for, or what the messages of a queue ring for; the invocation is ended at `ends`.
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
        serde_json::to_value(messages_of_queues(host, event, deadline).await?)
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
            expected: "`sweep`, `round`, `reclaim` or `reclaim-all`",
        })?,
    };
    let mut summary = Summary::default();
    match task {
        Task::Sweep => {
            // What is due does not wait for a rolling sweep that fails, nor the other way round.
            let due = attend_due(host, deadline, &mut summary).await;
            let counted = count(host).await;
            let cursor = host.stepper.sweep_cursor().await?;
            let rolled = roll_on(host, cursor, Some(STREAMS_A_CALL), deadline, &mut summary).await;
            due.and(counted).and(rolled)?;
        }
        Task::Round => roll_on(host, None, None, deadline, &mut summary).await?,
        Task::Reclaim => {
            let first = host.clock.now().before(RECLAIMED_SINCE);
            let since = host.stepper.reclaimed_until().await?.unwrap_or(first);
            reclaim(host, Some(since), deadline, &mut summary).await?;
        }
        Task::ReclaimAll => reclaim(host, None, deadline, &mut summary).await?,
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

/// The rolling sweep from `cursor` on: `streams` of them, or until it has been round or the time is over.
async fn roll_on(
    host: &Host,
    mut cursor: Option<String>,
    streams: Option<usize>,
    deadline: Option<Timestamp>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let mut failed = None;
    while !host.is_over(deadline) {
        let before = cursor.clone();
        let swept = host.stepper.sweep(cursor, streams.unwrap_or(SLICE)).await;
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
        summary.round = cursor.is_none();
        if summary.round || streams.is_some() {
            break;
        }
    }
    host.stepper.keep_sweep_cursor(cursor.as_deref()).await?;
    failed.map_or(Ok(()), Err)
}

async fn reclaim(
    host: &Host,
    since: Option<Timestamp>,
    deadline: Option<Timestamp>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let work = host.stepper.reclaim(since);
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

/// Messages of the timers queue, each for itself, in any order; and those that are no doorbells, such as what a pipe gave
/// up: they tell which records nobody was rung for only in a form that cannot be read back, so the sweep goes round.
async fn messages_of_queues(
    host: &Host,
    event: Value,
    deadline: Option<Timestamp>,
) -> Result<BatchAnswer, HandlerError> {
    let name = |message: &SqsMessage| message.message_id.clone().unwrap_or_default();
    let (bells, dead): (Vec<_>, Vec<_>) = messages(event)?
        .into_iter()
        .map(|message| (read(&message), message))
        .partition(|(bell, _)| bell.is_some());
    let work = bells.into_iter().map(async |(bell, message)| {
        let attended = match bell {
            Some(bell) if !host.is_over(deadline) => attend(host, bell).await,
            _ => false,
        };
        (!attended).then(|| name(&message))
    });
    let failed = futures::future::join_all(work).await;
    let mut failed: Vec<String> = failed.into_iter().flatten().collect();
    let dead: Vec<SqsMessage> = dead.into_iter().map(|(_, message)| message).collect();
    if !dead.is_empty() && !go_round(host, &dead, deadline).await? {
        failed.extend(dead.iter().map(name));
    }
    Ok(BatchAnswer::failed(failed))
}

/// Whether what a doorbell asks for is done.
async fn attend(host: &Host, bell: Bell) -> bool {
    match &bell.due {
        Due::Resequence(stream) => look(host, stream).await,
        Due::Deliver(..) => match host.rings.pass_all_on(vec![bell]).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a doorbell was not rung");
                false
            }
        },
    }
}

/// Visits every stream, since doorbells were given up. `false` when the time did not suffice: the messages come again,
/// and the sweep goes on where it was.
async fn go_round(
    host: &Host,
    dead: &[SqsMessage],
    deadline: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let is_new = |message: &SqsMessage| {
        let received = message.attributes.get("ApproximateReceiveCount");
        received.is_none_or(|times| times == "1")
    };
    let begins = dead.iter().any(is_new);
    if begins {
        let messages = dead.len();
        tracing::warn!(messages, "doorbells were given up: every stream is visited");
    }
    let cursor = match begins {
        true => None,
        false => host.stepper.sweep_cursor().await?,
    };
    let mut summary = Summary::default();
    roll_on(host, cursor, None, deadline, &mut summary).await?;
    tracing::info!(?summary, "swept");
    Ok(summary.round)
}
