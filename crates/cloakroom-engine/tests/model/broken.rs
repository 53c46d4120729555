//! The protocol with one rule left out: the model finds a run that breaks the property which that rule keeps.

use cloakroom_core::ordering::Rule;
use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::properties::{
    ENDS_WELL, FROZEN, HEAD_RISES, IN_ORDER, NOT_REPEATED, ON_RECORD, RECORDED, UNCHANGED,
};
use crate::sound::{appending, delivering, dense, sparse};
use crate::state::{Broken, Budget, Protocol};

/// Expects that `property` is broken when the rule is left out, and that it holds when it is not.
fn check(broken: Broken, property: &'static str, protocol: &Protocol) {
    let found = |broken| {
        let model = Protocol {
            broken,
            ..protocol.clone()
        };
        let until = HasDiscoveries::AnyOf([property].into());
        let checked = model.checker().finish_when(until).spawn_bfs().join();
        (checked.discovery(property), checked.unique_state_count())
    };
    let (counterexample, states) = found(broken);
    let counterexample = counterexample
        .unwrap_or_else(|| panic!("without {broken:?}'s rule, {property:?} still holds"));
    let steps = counterexample.into_actions();
    println!("{broken:?} ({states} states): {property}: broken by {steps:?}");
    let (counterexample, _) = found(Broken::Nothing);
    assert!(
        counterexample.is_none(),
        "{property:?} does not hold at all"
    );
}

#[test]
fn without_leases_a_second_deliverer_repeats_what_was_acknowledged() {
    let protocol = Protocol {
        budget: Budget {
            doubled: 1,
            ..Budget::default()
        },
        ..delivering(1)
    };
    check(Broken::NoLease, NOT_REPEATED, &protocol);
}

#[test]
fn a_lease_that_ends_before_its_send_is_none() {
    let protocol = Protocol {
        budget: Budget {
            doubled: 1,
            ..Budget::default()
        },
        ..delivering(1)
    };
    check(Broken::ShortLease, NOT_REPEATED, &protocol);
}

#[test]
fn a_cursor_that_is_moved_blindly_undoes_a_replay() {
    let protocol = Protocol {
        budget: Budget {
            acts: 1,
            ..Budget::default()
        },
        deliverers: 1,
        ..delivering(2)
    };
    check(Broken::BlindCursor, RECORDED, &protocol);
}

#[test]
fn a_head_that_is_moved_blindly_goes_back() {
    let protocol = Protocol {
        deliverers: 0,
        ..appending(Rule::Arrival, &[1, 1])
    };
    check(Broken::BlindHead, HEAD_RISES, &protocol);
}

#[test]
fn a_range_that_is_read_before_the_head_is_too_old() {
    let protocol = Protocol {
        deliverers: 0,
        ..appending(dense(), &[1, 2])
    };
    check(Broken::RangeFirst, HEAD_RISES, &protocol);
}

#[test]
fn without_the_sweep_a_lost_doorbell_stops_a_stream() {
    let protocol = Protocol {
        budget: Budget {
            lost: 1,
            ..Budget::default()
        },
        ..appending(Rule::Arrival, &[1])
    };
    check(Broken::NoSweep, ENDS_WELL, &protocol);
}

#[test]
fn without_the_sweep_a_crash_stops_a_stream() {
    let protocol = Protocol {
        budget: Budget {
            crashes: 1,
            ..Budget::default()
        },
        ..appending(Rule::Arrival, &[1])
    };
    check(Broken::NoSweep, ENDS_WELL, &protocol);
}

#[test]
fn without_admittance_events_slip_in_below_the_head() {
    let protocol = Protocol {
        deliverers: 0,
        ..appending(sparse(), &[2, 1])
    };
    check(Broken::NoAdmit, FROZEN, &protocol);
}

#[test]
fn without_admittance_a_later_event_is_sent_before_an_earlier_one() {
    // What slips in below the head after its successor was sent is passed over, or comes after it.
    let protocol = appending(sparse(), &[2, 1, 3]);
    check(Broken::NoAdmit, IN_ORDER, &protocol);
}

#[test]
fn placeholders_that_do_not_ask_overwrite_what_was_acknowledged() {
    let protocol = Protocol {
        deliverers: 0,
        resequencers: 1,
        ..appending(dense(), &[1, 2])
    };
    check(Broken::BlindPlaceholders, UNCHANGED, &protocol);
    check(Broken::BlindPlaceholders, ON_RECORD, &protocol);
}

#[test]
fn a_skip_in_two_transactions_passes_an_event_over_without_a_record() {
    let protocol = Protocol {
        budget: Budget {
            failures: 2,
            acts: 1,
            ..Budget::default()
        },
        deliverers: 1,
        ..delivering(1)
    };
    check(Broken::SkipInTwo, RECORDED, &protocol);
}

#[test]
fn an_answer_before_the_entry_is_written_promises_too_much() {
    let protocol = Protocol {
        budget: Budget {
            crashes: 1,
            ..Budget::default()
        },
        deliverers: 0,
        ..appending(dense(), &[1])
    };
    check(Broken::EarlyAnswer, ON_RECORD, &protocol);
}
