//! Tables of how arrays, `$or` and absence go together.

use serde_json::{Value, json};

use super::refusals::refused;
use super::tests::{check, check_value};
use super::*;

/// "Arrays in Amazon EventBridge event patterns".
#[test]
fn an_array_matches_by_any_element() {
    let event = json!({"resources": ["arn:aws:autoscaling:us-east-1:123456789012:group/ASGTerminate", "arn:aws:ec2:us-east-1:123456789012:instance/i-b188560f"]});
    let pattern = json!({"resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-b188560f", "arn:aws:ec2:us-east-1:111122223333:instance/i-b188560f"]});
    check(pattern, event.clone(), true);
    check(json!({"resources": ["arn"]}), event, false);
    check_value(json!(["c"]), json!([["a", ["b"]], [["c"]]]), true);
    check_value(json!(["a"]), json!([]), false);
    check_value(json!([{"anything-but": "a"}]), json!(["a", "b"]), true);
    check_value(json!([{"anything-but": "a"}]), json!(["a", "a"]), false);
    check_value(json!(["a"]), json!([{"y": "a"}]), false);
}

/// The employees of Event Ruler's README, section "JSON Array Matching".
#[test]
fn members_below_an_array_match_within_one_element() {
    let event = json!({"employees": [{"firstName": "John", "lastName": "Doe"}, {"firstName": "Anna", "lastName": "Smith"}, {"firstName": "Peter", "lastName": "Jones"}]});
    let nested = json!({"employees": [[{"firstName": "John", "lastName": "Doe"}, {"firstName": "Anna", "lastName": "Smith"}], [{"firstName": "Peter", "lastName": "Jones"}]]});
    for event in [event, nested] {
        check(
            json!({"employees": {"firstName": ["Anna"]}}),
            event.clone(),
            true,
        );
        check(
            json!({"employees": {"firstName": ["Anna"], "lastName": ["Smith"]}}),
            event.clone(),
            true,
        );
        check(
            json!({"employees": {"firstName": ["Anna"], "lastName": ["Jones"]}}),
            event.clone(),
            false,
        );
        check(
            json!({"employees": {"firstName": [{"prefix": "Q"}]}}),
            event,
            false,
        );
    }
}

#[test]
fn one_element_must_match_even_when_an_or_stands_between() {
    let pattern = json!({"items": {"sku": ["a"]}, "$or": [{"items": {"state": ["lost"]}}, {"type": ["alarm"]}]});
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a", "state": "lost"}]}),
        true,
    );
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a", "state": "fine"}, {"sku": "b", "state": "lost"}]}),
        false,
    );
    check(
        pattern.clone(),
        json!({"type": "alarm", "items": [{"sku": "a", "state": "fine"}]}),
        true,
    );
    check(
        pattern,
        json!({"items": {"sku": "a", "state": "lost"}}),
        true,
    );

    let between = json!({"$or": [{"i": {"a": [1]}}, {"p": [1]}], "i": {"c": [1]}, "data": {"$or": [{"x": [1]}, {"y": [1]}]}});
    check(
        between.clone(),
        json!({"i": [{"a": 1, "c": 1}], "data": {"y": 1}}),
        true,
    );
    check(
        between.clone(),
        json!({"i": [{"a": 1}, {"c": 1}], "data": {"y": 1}}),
        false,
    );
    check(
        between,
        json!({"i": [{"a": 1, "c": 1}], "data": {"z": 1}}),
        false,
    );

    let nested = json!({"$or": [{"$or": [{"i": {"a": [1]}}, {"p": [1]}]}, {"q": [1]}], "i": {"b": {"c": [1]}}});
    check(
        nested.clone(),
        json!({"i": [{"a": 1, "b": [{"c": 1}]}]}),
        true,
    );
    check(
        nested.clone(),
        json!({"i": [{"a": 1}, {"b": {"c": 1}}]}),
        false,
    );
    check(
        nested,
        json!({"i": [{"a": 1}, {"b": {"c": 1}}], "q": 1}),
        true,
    );
    // The same leaf in both places: both lists must hold.
    check(
        json!({"a": [1, 2], "$or": [{"a": [2, 3]}, {"b": [1]}]}),
        json!({"a": 2}),
        true,
    );
    check(
        json!({"a": [1, 2], "$or": [{"a": [2, 3]}, {"b": [1]}]}),
        json!({"a": 1}),
        false,
    );
}

#[test]
fn absence_is_of_the_chosen_element_or_of_all() {
    let pattern = json!({"items": {"sku": ["a"], "lost": [{"exists": false}]}});
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a"}, {"sku": "b", "lost": 1}]}),
        true,
    );
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a", "lost": 1}, {"sku": "b"}]}),
        false,
    );
    check(pattern, json!({"items": []}), false);
    let pattern = json!({"items": {"lost": [{"exists": false}]}});
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a"}, {"lost": 1}]}),
        false,
    );
    check(
        pattern.clone(),
        json!({"items": [{"sku": "a"}, {"sku": "b"}, 3]}),
        true,
    );
    check(
        pattern,
        json!({"items": [[{"sku": "a"}], [[{"lost": 1}]]]}),
        false,
    );
}

/// The same page, "Complex example with multiple matching" and "$or"; the rest after Event Ruler's README.
#[test]
fn or() {
    let pattern = json!({"source": ["aws.cloudwatch"], "$or": [{"metricName": ["CPUUtilization", "ReadLatency"]}, {"metricType": ["MetricType"], "namespace": ["AWS/EC2"], "$or": [{"metricId": [1234]}, {"spaceId": [1000]}]}, {"scope": ["Service"]}]});
    for (event, expected) in [
        (
            json!({"source": "aws.cloudwatch", "metricName": "ReadLatency"}),
            true,
        ),
        (
            json!({"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2", "spaceId": 1000}),
            true,
        ),
        (
            json!({"source": "aws.cloudwatch", "metricType": "MetricType", "namespace": "AWS/EC2"}),
            false,
        ),
        (
            json!({"source": "aws.cloudwatch", "scope": "Service"}),
            true,
        ),
        (json!({"source": "aws.ec2", "scope": "Service"}), false),
        (json!({"source": "aws.cloudwatch"}), false),
    ] {
        check(pattern.clone(), event, expected);
    }
    let pattern = json!({"detail": {"$or": [{"c-count": [{"numeric": [">", 0, "<=", 5]}]}, {"d-count": [{"numeric": ["<", 10]}]}, {"x-limit": [{"numeric": ["=", 3.018e2]}]}]}});
    check(
        pattern.clone(),
        json!({"detail": {"c-count": 6, "d-count": 9}}),
        true,
    );
    check(
        pattern,
        json!({"detail": {"c-count": 6, "d-count": 10}}),
        false,
    );
}

#[test]
fn hostile_ors_are_cheap_or_refused() {
    let branch = |name: String| json!([{name.clone(): [1]}, {name: [2]}]);
    let mut parallel = json!({"$or": branch("x".into())});
    for level in 0..40 {
        parallel = json!({"$or": [parallel, {"z": [1]}], format!("m{level}"): [1]});
    }
    check(parallel, json!({"z": 1, "m39": 1}), true);
    let mut product = json!({"i": {"x": [1]}, "$or": [{"i": {"a": [1]}}, {"i": {"b": [1]}}]});
    for _ in 0..4 {
        product =
            json!({"$or": [product, {"i": {"c": [1]}}], "i": {"$or": [{"a": [1]}, {"b": [1]}]}});
    }
    check(product, json!({"i": [{"c": 1, "a": 1}]}), true);
    let many = |name: &str| -> Vec<Value> {
        (0..200)
            .map(|index| json!({"k": {format!("{name}{index}"): [1]}}))
            .collect()
    };
    refused(
        Dialect::EventBridge,
        json!({"d": {"i": {"$or": many("a")}, "$or": [{"i": {"$or": many("b")}}, {"p": [1]}]}}),
        "d: `$or` makes too many combinations over one member: write the `$or` inside that member",
    );
}
