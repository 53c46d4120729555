//! Looks at the server's streams as an operator would, and tells where gaps open and close.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::id::StreamId;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::script::Place;
use super::view::Happening;
use crate::client::{Client, Limit, Remote};
use crate::exit::Failure;

/// How often to look.
const EVERY: Duration = Duration::from_millis(50);

/// A gap that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) transfer: String,
    pub(super) from: u32,
    pub(super) to: u32,
    opened: Timestamp,
    pub(super) closed: bool,
}

impl Gap {
    fn holds(&self, place: Place) -> bool {
        self.transfer == place.transfer && (self.from..=self.to).contains(&place.sequence)
    }
}

#[cfg(test)]
impl Gap {
    pub(super) fn closed(place: Place) -> Self {
        let opened = Timestamp::from_micros(0);
        Self {
            transfer: place.transfer.to_owned(),
            from: place.sequence,
            to: place.sequence,
            opened,
            closed: true,
        }
    }
}

pub(super) struct GapWatch {
    seen: Arc<Mutex<Vec<Gap>>>,
    task: JoinHandle<()>,
}

impl GapWatch {
    /// Begins to look.
    pub(super) fn start(
        server: &str,
        clock: Arc<SystemClock>,
        happenings: UnboundedSender<Happening>,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let client = Client::new(&Remote {
            url: server.to_owned(),
            token: None,
        })?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gaps = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while !stop.is_cancelled() {
                if let Ok(listed) = client.list("/v1/streams", &[], Limit::all()).await {
                    let open = open_gaps(&listed.items);
                    note(&mut lock(&gaps), open, clock.now(), &happenings);
                }
                tokio::select! {
                    () = clock.sleep_until(clock.now().after(EVERY)) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        Ok(Self { seen, task })
    }

    /// Whether the gap that this number leaves is open, as far as was seen.
    pub(super) fn is_open(&self, place: Place) -> bool {
        lock(&self.seen)
            .iter()
            .any(|gap| gap.holds(place) && !gap.closed)
    }

    /// What was seen.
    pub(super) async fn finish(self) -> Vec<Gap> {
        // It ends by itself when all is told to stop; a panic in it would show as gaps that were not seen.
        let _ = self.task.await;
        lock(&self.seen).clone()
    }
}

fn lock(gaps: &Mutex<Vec<Gap>>) -> MutexGuard<'_, Vec<Gap>> {
    gaps.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The gap of every transfer that has one.
fn open_gaps(streams: &[Value]) -> BTreeMap<String, (u32, u32)> {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let gap = |stream: &Value| {
        let id = StreamId::parse(stream["stream"].as_str()?)?;
        let range = (
            number(&stream["gap"]["from"])?,
            number(&stream["gap"]["to"])?,
        );
        Some((id.key.as_str().to_owned(), range))
    };
    streams.iter().filter_map(gap).collect()
}

/// Enters what changed, and tells it.
fn note(
    seen: &mut Vec<Gap>,
    mut open: BTreeMap<String, (u32, u32)>,
    now: Timestamp,
    happenings: &UnboundedSender<Happening>,
) {
    for gap in seen.iter_mut().filter(|gap| !gap.closed) {
        match open.get(&gap.transfer) {
            Some(&(from, to)) if from <= gap.to => {
                // It is the same, or shrank, or grew: remembered is all it ever was.
                (gap.from, gap.to) = (gap.from.min(from), gap.to.max(to));
                open.remove(&gap.transfer);
            }
            _ => {
                gap.closed = true;
                let (transfer, after) = (gap.transfer.clone(), now.since(gap.opened));
                let _ = happenings.send(Happening::GapClosed { transfer, after });
            }
        }
    }
    for (transfer, (from, to)) in open {
        let _ = happenings.send(Happening::GapOpened {
            transfer: transfer.clone(),
            from,
            to,
        });
        seen.push(Gap {
            transfer,
            from,
            to,
            opened: now,
            closed: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn gaps_are_opened_and_closed_once() {
        let (happenings, mut told) = unbounded_channel();
        let mut seen = Vec::new();
        let stream = |gap: Value| vec![json!({"stream": "transfers/A", "head": "1", "gap": gap})];
        let steps = [
            (stream(Value::Null), 0),
            (stream(json!({"from": 2, "to": 4})), 1),
            (stream(json!({"from": 2, "to": 3})), 0),
            (stream(json!({"from": 7, "to": 7})), 2),
            (stream(Value::Null), 1),
        ];
        for (step, (streams, expected)) in steps.into_iter().enumerate() {
            note(
                &mut seen,
                open_gaps(&streams),
                Timestamp::from_micros(1),
                &happenings,
            );
            let mut count = 0;
            while told.try_recv().is_ok() {
                count += 1;
            }
            assert_eq!(count, expected, "step {step}");
        }
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|gap| gap.closed));
        let [two, five] = [2, 5].map(|sequence| Place {
            transfer: "A",
            sequence,
        });
        assert!(seen[0].holds(two) && !seen[0].holds(five));
    }
}
