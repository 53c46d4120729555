//! The estimate, held against what is known.

use std::time::Duration;

use cloakroom_lambda::units::Units;

use super::estimate::{Estimate, Form, break_even};
use super::prices::Prices;
use super::traffic::{Architecture, Ordering, SinkKind, Traffic};

/// A million webhooks of the size that was measured: in order, each alone, of keys that never end.
fn plain() -> Traffic {
    Traffic {
        events: 1e6,
        sizes: "1KiB".parse().unwrap(),
        out_of_order: 0.0,
        duplicates: 0.0,
        events_per_key: 1e12,
        together: 1.0,
        ordering: Ordering::Dense,
        sinks: vec![SinkKind::SqsFifo],
        ledger_only_max: 0.0,
        inline_max: 16384.0,
        retention: Duration::from_secs(30 * 24 * 3_600),
        secrets: 0.0,
        architecture: Architecture::Arm64,
        tasks: 2.0,
        task_vcpu: 0.5,
        task_gb: 1.0,
    }
}

fn quantity(traffic: &Traffic, service: &str, item: &str) -> f64 {
    let estimate = Estimate::of(traffic, &Prices::known(), &Units::measured());
    let mut lines = estimate.lines.iter();
    let line = lines.find(|line| line.service == service && line.item == item);
    line.map_or(0.0, |line| line.quantity)
}

fn total(traffic: &Traffic, form: Form) -> f64 {
    Estimate::of(traffic, &Prices::known(), &Units::measured()).total(form)
}

#[track_caller]
fn check(found: f64, expected: f64) {
    let close = (found - expected).abs() <= expected.abs() * 1e-9;
    assert!(close, "{found} instead of {expected}");
}

#[test]
fn what_was_measured_comes_out_again() {
    let units = Units::measured();
    let writes = "write units: events";
    let reads = "read units: events";
    let one = plain();
    let known = units.of("in-order");
    check(quantity(&one, "DynamoDB", writes), known.writes * 1e6);
    check(quantity(&one, "DynamoDB", reads), known.reads * 1e6);
    check(quantity(&one, "S3", "PUT"), 1e6);

    let two = Traffic {
        sinks: vec![SinkKind::SqsFifo; 2],
        ..plain()
    };
    let known = units.of("in-order-two-subscriptions");
    check(quantity(&two, "DynamoDB", writes), known.writes * 1e6);
    check(quantity(&two, "DynamoDB", reads), known.reads * 1e6);

    let ten = Traffic {
        together: 10.0,
        ..plain()
    };
    let known = units.of("ten-of-one-key");
    check(quantity(&ten, "DynamoDB", writes), known.writes * 1e5);
    check(quantity(&ten, "DynamoDB", reads), known.reads * 1e5);

    let first = Traffic {
        events_per_key: 1.0,
        ..plain()
    };
    let known = units.of("first-of-its-key");
    check(quantity(&first, "DynamoDB", writes), known.writes * 1e6);

    let arrival = Traffic {
        ordering: Ordering::Arrival,
        ..plain()
    };
    let known = units.of("arrival");
    check(quantity(&arrival, "DynamoDB", writes), known.writes * 1e6);

    let again = Traffic {
        duplicates: 1.0,
        ..plain()
    };
    let known = units.of("in-order").writes + units.of("duplicate").writes;
    check(quantity(&again, "DynamoDB", writes), known * 1e6);
}

#[test]
fn half_of_them_early_is_a_pair_each() {
    let units = Units::measured();
    let early = Traffic {
        out_of_order: 0.5,
        ..plain()
    };
    let pair = units.of("opens-a-gap").writes + units.of("closes-a-gap").writes;
    check(
        quantity(&early, "DynamoDB", "write units: events"),
        pair / 2.0 * 1e6,
    );
}

#[test]
fn sizes_count_where_they_are() {
    let large = Traffic {
        sizes: "9KiB".parse().unwrap(),
        ..plain()
    };
    let more = quantity(&large, "DynamoDB", "write units: events")
        - quantity(&plain(), "DynamoDB", "write units: events");
    check(more, 8e6);
    let outside = Traffic {
        sizes: "20KiB".parse().unwrap(),
        ..plain()
    };
    let less = quantity(&outside, "DynamoDB", "write units: events")
        - quantity(&plain(), "DynamoDB", "write units: events");
    check(less, -1e6);
    let parts = Traffic {
        sizes: "20MiB".parse().unwrap(),
        ..plain()
    };
    check(quantity(&parts, "S3", "PUT"), 6e6);
    let none = Traffic {
        ledger_only_max: 8192.0,
        ..plain()
    };
    check(quantity(&none, "S3", "PUT"), 0.0);
    let metered = Traffic {
        sizes: "1MiB".parse().unwrap(),
        ..plain()
    };
    check(
        quantity(&metered, "API Gateway", "requests of up to 512 KB"),
        2e6,
    );
}

#[test]
fn containers_pay_for_standing_there_and_functions_for_calls() {
    let few = Traffic {
        events: 1e4,
        ..plain()
    };
    let many = Traffic {
        events: 1e9,
        ..plain()
    };
    for later in [Form::LargeLane, Form::Container] {
        assert!(total(&few, Form::SmallLane) < total(&few, later));
        assert!(total(&many, Form::SmallLane) > total(&many, later));
        let (prices, units) = (Prices::known(), Units::measured());
        let at = break_even(&plain(), &prices, &units, (Form::SmallLane, later)).unwrap();
        let near = |factor: f64| Traffic {
            events: at * factor,
            ..plain()
        };
        assert!(total(&near(0.99), Form::SmallLane) < total(&near(0.99), later));
        assert!(total(&near(1.01), Form::SmallLane) > total(&near(1.01), later));
    }
}
