//! The protocol as it is: every property holds in every state, and what must be able to happen does.

use std::time::Duration;

use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use stateright::{Checker as _, Model as _};

use crate::properties::{LATE, PARKED, PASSED_OVER, REPEATED, REPLAYED, SKIPPED};
use crate::state::{Broken, Budget, Protocol};

pub(crate) fn ticks(ticks: u64) -> Duration {
    Duration::from_micros(ticks)
}

/// Numbers from 1; a hole is passed over after a tick.
pub(crate) fn dense() -> Rule {
    Rule::Dense {
        first: First::Number(1),
        gap: GapPolicy {
            after: ticks(1),
            then: GapAction::Skip,
            max: 10,
        },
        late: LatePolicy::Deliver,
    }
}

pub(crate) fn sparse() -> Rule {
    Rule::Sparse {
        hold: ticks(1),
        late: LatePolicy::Deliver,
    }
}

/// A shared ledger with these events yet to be appended, and nothing that goes wrong.
pub(crate) fn appending(rule: Rule, numbers: &[u64]) -> Protocol {
    Protocol {
        rule,
        numbers: numbers.to_vec(),
        released: 0,
        resequencers: 2,
        deliverers: 1,
        exclusive: false,
        budget: Budget::default(),
        broken: Broken::Nothing,
        reaches: &[],
    }
}

/// A shared ledger with two deliverers and this many events that are released.
pub(crate) fn delivering(events: u64) -> Protocol {
    Protocol {
        released: usize::try_from(events).unwrap(),
        deliverers: 2,
        resequencers: 1,
        ..appending(dense(), &(1..=events).collect::<Vec<_>>())
    }
}

/// One more than the size that is quick, when `CLOAKROOM_MODEL=large` asks for it: millions of states.
fn sized<'a>(small: &'a [u64], large: &'a [u64]) -> &'a [u64] {
    let wanted = std::env::var("CLOAKROOM_MODEL");
    if wanted.is_ok_and(|wanted| wanted == "large") {
        large
    } else {
        small
    }
}

/// Visits every state. None breaks a property, and in some of them happens what is said to.
fn check(name: &str, protocol: Protocol) {
    let checked = protocol.checker().spawn_bfs().join();
    println!(
        "{name}: {} states, at most {} steps",
        checked.unique_state_count(),
        checked.max_depth()
    );
    checked.assert_properties();
}

#[test]
fn a_dense_stream_on_a_shared_ledger() {
    check(
        "dense: two resequencers, an event resent, a doorbell doubled and one lost, a crash",
        Protocol {
            budget: Budget {
                doubled: 1,
                lost: 1,
                crashes: 1,
                resends: 1,
                ..Budget::default()
            },
            deliverers: 0,
            reaches: &[LATE, PASSED_OVER],
            ..appending(dense(), sized(&[1, 2], &[1, 2, 3]))
        },
    );
}

#[test]
fn three_numbers_in_any_order() {
    check(
        "dense: two resequencers, three numbers, nothing fails",
        Protocol {
            deliverers: 0,
            reaches: &[LATE, PASSED_OVER],
            ..appending(dense(), &[1, 2, 3])
        },
    );
}

#[test]
fn a_sparse_stream_on_a_shared_ledger() {
    check(
        "sparse: two resequencers, an event resent, a crash, a doorbell lost",
        Protocol {
            budget: Budget {
                crashes: 1,
                lost: 1,
                resends: 1,
                ..Budget::default()
            },
            deliverers: 0,
            reaches: &[LATE],
            ..appending(sparse(), sized(&[2, 1], &[2, 1, 3]))
        },
    );
}

#[test]
fn an_arrival_stream_on_a_shared_ledger() {
    check(
        "arrival: two resequencers, an event resent, a crash, a doorbell lost",
        Protocol {
            budget: Budget {
                crashes: 1,
                lost: 1,
                resends: 1,
                ..Budget::default()
            },
            deliverers: 0,
            reaches: &[],
            ..appending(Rule::Arrival, sized(&[1, 1], &[1, 1, 1]))
        },
    );
}

#[test]
fn deliverers_on_a_shared_ledger() {
    check(
        "two deliverers, a crash, a doorbell doubled and one lost, a failure, a pause",
        Protocol {
            budget: Budget {
                crashes: 1,
                doubled: 1,
                lost: 1,
                failures: 1,
                pauses: 1,
                ..Budget::default()
            },
            reaches: &[REPEATED],
            ..delivering(sized(&[1], &[1, 2]).len() as u64)
        },
    );
}

#[test]
fn two_events_for_two_deliverers() {
    check(
        "two deliverers, two events, a crash, a doorbell doubled, an act of an operator",
        Protocol {
            budget: Budget {
                crashes: 1,
                doubled: 1,
                acts: 1,
                ..Budget::default()
            },
            reaches: &[REPEATED, REPLAYED],
            ..delivering(2)
        },
    );
}

#[test]
fn an_operator_among_deliverers() {
    check(
        "two deliverers, two failures, two acts of an operator, a crash",
        Protocol {
            budget: Budget {
                crashes: 1,
                failures: 2,
                acts: 2,
                ..Budget::default()
            },
            reaches: &[PARKED, REPEATED, SKIPPED, REPLAYED],
            ..delivering(sized(&[1], &[1, 2]).len() as u64)
        },
    );
}

#[test]
fn all_of_it_at_once() {
    check(
        "appends, resequencers and deliverers at once, a crash",
        Protocol {
            budget: Budget {
                crashes: 1,
                ..Budget::default()
            },
            resequencers: 1,
            reaches: &[REPEATED],
            ..appending(dense(), sized(&[1], &[1, 2]))
        },
    );
}

#[test]
fn one_process_with_the_ledger_to_itself() {
    check(
        "one process that crashes, an event resent",
        Protocol {
            resequencers: 1,
            exclusive: true,
            budget: Budget {
                crashes: 1,
                resends: 1,
                ..Budget::default()
            },
            reaches: &[LATE, PASSED_OVER, REPEATED],
            ..appending(dense(), sized(&[1, 2], &[1, 2, 3]))
        },
    );
}

#[test]
fn an_operator_of_one_process() {
    check(
        "one process that crashes, an event, two failures, two acts of an operator",
        Protocol {
            resequencers: 1,
            exclusive: true,
            budget: Budget {
                crashes: 1,
                failures: 2,
                acts: 2,
                ..Budget::default()
            },
            reaches: &[PARKED, REPEATED, SKIPPED, REPLAYED],
            ..appending(dense(), sized(&[1], &[1, 2]))
        },
    );
}

#[test]
fn an_operator_replays_while_a_send_is_under_way() {
    check(
        "two deliverers, two events, a failure, two acts of an operator",
        Protocol {
            budget: Budget {
                failures: 1,
                acts: 2,
                ..Budget::default()
            },
            reaches: &[REPEATED, SKIPPED, REPLAYED],
            ..delivering(2)
        },
    );
}

#[test]
fn doorbells_alone_are_enough_while_none_is_lost() {
    check(
        "nothing fails, and nobody sweeps",
        Protocol {
            broken: Broken::NoSweep,
            ..appending(Rule::Arrival, &[1, 1])
        },
    );
}
