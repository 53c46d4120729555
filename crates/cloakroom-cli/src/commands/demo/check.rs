//! Whether what was promised was kept: compares what was sent with what was answered and what arrived.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;

use super::consumer::Delivery;
use super::gaps::Gap;
use super::provider::Answer;
use super::script::{Place, Webhook};
use super::view::Verdict;
use crate::exit::Failure;
use crate::output::{self, BOLD, DIM, GREEN, RED, paint};

/// What both ends saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    /// In the order of arrival.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) gaps: Vec<Gap>,
}

/// The verdict on a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    ok: bool,
    checks: Vec<Check>,
    seed: u64,
    took_ms: u64,
}

/// One promise.
#[derive(Debug, Clone, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was counted, or what was wrong first.
    found: String,
}

impl Check {
    fn new(name: &'static str, problem: Option<String>, found: String) -> Self {
        Self {
            name,
            ok: problem.is_none(),
            found: problem.unwrap_or(found),
        }
    }
}

impl Summary {
    /// Compares what was `sent` with what was seen.
    pub(super) fn of(sent: &[Webhook], seen: &Seen, seed: u64, took: Duration) -> Self {
        let checks = vec![
            taken_once(sent, seen),
            forged_refused(seen),
            nothing_lost(sent, seen),
            nothing_twice(seen),
            in_order(seen),
            intact(sent, seen),
            gap_told(sent, seen),
        ];
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self {
            ok: checks.iter().all(|check| check.ok),
            checks,
            seed,
            took_ms,
        }
    }

    /// Whether every promise was kept.
    pub(super) fn is_good(&self) -> bool {
        self.ok
    }

    pub(super) fn print(&self) -> Result<(), Failure> {
        output::line("")?;
        for check in &self.checks {
            let mark = if check.ok {
                paint(GREEN, "✓")
            } else {
                paint(RED, "✗")
            };
            let name = if check.ok {
                check.name.to_owned()
            } else {
                paint(RED, check.name)
            };
            output::line(format_args!("  {mark} {name}: {}", check.found))?;
        }
        let took = output::span(Duration::from_millis(self.took_ms));
        let verdict = if self.ok {
            paint(GREEN.bold(), "all is as promised")
        } else {
            paint(RED.bold(), "not as promised")
        };
        let seed = paint(DIM, format_args!("(seed {})", self.seed));
        output::line(format_args!("\n{} in {took} {seed}", paint(BOLD, verdict)))
    }
}

/// Every true webhook was accepted exactly once, and whatever came again got the first one's receipt.
fn taken_once(sent: &[Webhook], seen: &Seen) -> Check {
    let mut receipts: HashMap<Place, (usize, HashSet<Option<String>>)> = HashMap::new();
    let (mut duplicates, mut problem) = (0, None);
    for answer in seen.answers.iter().filter(|answer| !answer.forged) {
        let (accepted, ids) = receipts.entry(answer.place).or_default();
        ids.insert(answer.id.clone());
        match &answer.verdict {
            Verdict::Accepted => *accepted += 1,
            Verdict::Duplicate => duplicates += 1,
            Verdict::Refused => problem = Some(format!("{} was refused", name(answer.place))),
            Verdict::Failed(what) => {
                problem = Some(format!("{} was answered {what}", name(answer.place)));
            }
        }
    }
    for webhook in sent {
        let accepted = receipts
            .get(&webhook.place)
            .map_or(0, |(accepted, _)| *accepted);
        if accepted != 1 {
            problem = problem.or(Some(format!(
                "{} was accepted {accepted} times",
                name(webhook.place)
            )));
        }
    }
    if let Some((place, _)) = receipts.iter().find(|(_, (_, ids))| ids.len() != 1) {
        problem = problem.or(Some(format!("the receipts of {} differ", name(*place))));
    }
    Check::new(
        "taken once",
        problem,
        format!(
            "{} webhooks accepted, {duplicates} duplicates recognised",
            sent.len()
        ),
    )
}

fn forged_refused(seen: &Seen) -> Check {
    let forged: Vec<&Answer> = seen.answers.iter().filter(|answer| answer.forged).collect();
    let passed = forged
        .iter()
        .find(|answer| answer.verdict != Verdict::Refused);
    let problem = match passed {
        Some(answer) => Some(format!(
            "a forged {} was answered {:?}",
            name(answer.place),
            answer.verdict
        )),
        None if forged.is_empty() => Some("none was sent".to_owned()),
        None => None,
    };
    Check::new(
        "forged refused",
        problem,
        format!("{} of {}", forged.len(), forged.len()),
    )
}

fn nothing_lost(sent: &[Webhook], seen: &Seen) -> Check {
    let arrived: HashSet<(&str, u32)> = seen.deliveries.iter().map(place).collect();
    let missing = sent
        .iter()
        .find(|webhook| !arrived.contains(&(webhook.place.transfer, webhook.place.sequence)));
    let problem =
        missing.map(|webhook| format!("{} did not reach the consumer", name(webhook.place)));
    Check::new(
        "nothing lost",
        problem,
        format!(
            "{} of {} events reached the consumer",
            arrived.len(),
            sent.len()
        ),
    )
}

fn nothing_twice(seen: &Seen) -> Check {
    let (mut places, mut ids) = (HashSet::new(), HashSet::new());
    let again = seen
        .deliveries
        .iter()
        .find(|delivery| !places.insert(place(delivery)) | !ids.insert(&delivery.id));
    let problem =
        again.map(|delivery| format!("{} #{} came again", delivery.transfer, delivery.sequence));
    Check::new(
        "nothing twice",
        problem,
        format!("{} deliveries, as many ids", seen.deliveries.len()),
    )
}

fn in_order(seen: &Seen) -> Check {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    let mut problem = None;
    for delivery in &seen.deliveries {
        let before = last
            .insert(&delivery.transfer, delivery.sequence)
            .unwrap_or(0);
        if delivery.sequence != before + 1 {
            let text = format!(
                "{}: #{} came after #{before}",
                delivery.transfer, delivery.sequence
            );
            problem = problem.or(Some(text));
        }
    }
    Check::new(
        "all in order",
        problem,
        format!("#1, #2, #3, … in each of {} transfers", last.len()),
    )
}

/// The bytes that the consumer read are those that the provider sent.
fn intact(sent: &[Webhook], seen: &Seen) -> Check {
    let sent: HashMap<(&str, u32), &Webhook> = sent
        .iter()
        .map(|webhook| ((webhook.place.transfer, webhook.place.sequence), webhook))
        .collect();
    let differs = |delivery: &&Delivery| {
        sent.get(&place(delivery))
            .is_none_or(|webhook| webhook.digest != delivery.digest)
    };
    let differing = seen.deliveries.iter().find(differs);
    let large = seen
        .deliveries
        .iter()
        .filter(|delivery| delivery.by_reference);
    let (count, bytes) = large.fold((0, 0), |(count, bytes), delivery| {
        (count + 1, bytes + delivery.digest.size)
    });
    let expected = sent.values().filter(|webhook| webhook.is_large).count();
    let problem = match differing {
        Some(delivery) => Some(format!(
            "{} #{} is not what was sent",
            delivery.transfer, delivery.sequence
        )),
        None if count < expected => Some(format!(
            "{count} payloads came by reference, not {expected}"
        )),
        None => None,
    };
    let inside = seen.deliveries.len() - count;
    let found = format!(
        "byte for byte, {inside} inside the event, {count} fetched by reference ({})",
        output::size(bytes)
    );
    Check::new("payloads intact", problem, found)
}

/// The gap that the last webhook left was seen to open, and to close.
fn gap_told(sent: &[Webhook], seen: &Seen) -> Check {
    let last = seen.answers.last().map(|answer| answer.place);
    let around = |gap: &&Gap| {
        last.is_some_and(|place| {
            gap.transfer == place.transfer && (gap.from..=gap.to).contains(&place.sequence)
        })
    };
    let gap = seen.gaps.iter().find(around);
    let problem = match (gap, seen.gaps.iter().find(|gap| !gap.closed)) {
        (None, _) => Some("the gap of the webhook that was held back was not seen".to_owned()),
        (Some(_), Some(open)) => Some(format!(
            "the gap of {} at #{} is still open",
            open.transfer, open.from
        )),
        (Some(_), None) => None,
    };
    let behind = last.map_or(0, |place| {
        sent.iter()
            .filter(|webhook| {
                webhook.place.transfer == place.transfer && webhook.place.sequence > place.sequence
            })
            .count()
    });
    let held = last.map(name).unwrap_or_default();
    let found = format!(
        "{} opened and closed; {behind} events waited for {held}",
        seen.gaps.len()
    );
    Check::new("gaps told", problem, found)
}

fn place(delivery: &Delivery) -> (&str, u32) {
    (&delivery.transfer, delivery.sequence)
}

fn name(place: Place) -> String {
    format!("{} #{}", place.transfer, place.sequence)
}

#[cfg(test)]
mod tests;
