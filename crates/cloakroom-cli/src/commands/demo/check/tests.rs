//! Every broken promise is noticed, and by the check that is meant for it.

use super::super::script::Script;
use super::*;
use crate::receiver::Digested;

fn answer(place: Place, verdict: Verdict, forged: bool) -> Answer {
    let id = (!forged).then(|| name(place));
    Answer {
        place,
        forged,
        verdict,
        id,
    }
}

/// A run in which everything went well.
fn good() -> (Vec<Webhook>, Seen) {
    let script = Script::new(24, 1, [20_000, 30_000, 50_000]);
    let withheld = script.webhooks[script.withheld].place;
    let others = script
        .webhooks
        .iter()
        .map(|webhook| webhook.place)
        .filter(|place| *place != withheld);
    let mut answers: Vec<Answer> = others
        .map(|place| answer(place, Verdict::Accepted, false))
        .collect();
    answers.push(answer(script.webhooks[5].place, Verdict::Duplicate, false));
    answers.push(answer(script.webhooks[7].place, Verdict::Refused, true));
    answers.push(answer(withheld, Verdict::Accepted, false));
    let delivery = |webhook: &Webhook| Delivery {
        id: name(webhook.place),
        transfer: webhook.place.transfer.to_owned(),
        sequence: webhook.place.sequence,
        digest: webhook.digest.clone(),
        by_reference: webhook.is_large,
    };
    let deliveries = script.webhooks.iter().map(delivery).collect();
    let gaps = vec![Gap::closed(withheld)];
    (
        script.webhooks,
        Seen {
            answers,
            deliveries,
            gaps,
        },
    )
}

/// The checks that fail after something was changed.
fn failing(change: impl FnOnce(&mut Seen)) -> Vec<&'static str> {
    let (sent, mut seen) = good();
    change(&mut seen);
    let summary = Summary::of(&sent, &seen, 1, Duration::ZERO);
    let failed: Vec<_> = summary
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name)
        .collect();
    assert_eq!(summary.is_good(), failed.is_empty());
    failed
}

#[test]
fn a_good_run_passes() {
    assert!(failing(|_| {}).is_empty());
}

#[test]
fn every_broken_promise_is_noticed() {
    assert_eq!(
        failing(|seen| drop(seen.deliveries.pop())),
        ["nothing lost"]
    );
    assert_eq!(
        failing(|seen| seen.deliveries.truncate(12)),
        ["nothing lost", "payloads intact"]
    );
    let twice = |seen: &mut Seen| seen.deliveries.push(seen.deliveries[3].clone());
    assert_eq!(failing(twice), ["nothing twice", "all in order"]);
    assert_eq!(
        failing(|seen| seen.deliveries[9].id = seen.deliveries[8].id.clone()),
        ["nothing twice"]
    );
    assert_eq!(failing(|seen| seen.deliveries.swap(0, 6)), ["all in order"]);
    assert_eq!(
        failing(|seen| seen.deliveries[2].digest = Digested::of(b"x")),
        ["payloads intact"]
    );
    let inside = |seen: &mut Seen| {
        for delivery in &mut seen.deliveries {
            delivery.by_reference = false;
        }
    };
    assert_eq!(failing(inside), ["payloads intact"]);
}

#[test]
fn every_wrong_answer_is_noticed() {
    assert_eq!(
        failing(|seen| seen.answers[0].verdict = Verdict::Duplicate),
        ["taken once"]
    );
    assert_eq!(
        failing(|seen| seen.answers[0].verdict = Verdict::Failed("503".to_owned())),
        ["taken once"]
    );
    assert_eq!(failing(|seen| drop(seen.answers.remove(0))), ["taken once"]);
    assert_eq!(
        failing(|seen| seen.answers[23].id = Some("another".to_owned())),
        ["taken once"]
    );
    assert_eq!(
        failing(|seen| seen.answers[24].verdict = Verdict::Accepted),
        ["forged refused"]
    );
    assert_eq!(
        failing(|seen| drop(seen.answers.remove(24))),
        ["forged refused"]
    );
}

#[test]
fn a_gap_that_was_not_seen_or_stays_open_is_noticed() {
    assert_eq!(failing(|seen| seen.gaps.clear()), ["gaps told"]);
    assert_eq!(failing(|seen| seen.gaps[0].closed = false), ["gaps told"]);
}
