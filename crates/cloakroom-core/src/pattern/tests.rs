//! Tables of what matches and what does not. The examples come from AWS's pages named at each test.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` values read best by value"
)]

use serde_json::{Value, json};

use super::*;

#[track_caller]
pub(super) fn check(pattern: Value, event: Value, expected: bool) {
    let compiled = Pattern::parse(&pattern, Dialect::EventBridge)
        .unwrap_or_else(|error| panic!("{pattern}: {error}"));
    assert_eq!(
        compiled.matches(&event),
        expected,
        "{pattern} against {event}"
    );
}

/// One list of tests against one value of the member `x`.
#[track_caller]
pub(super) fn check_value(tests: Value, value: Value, expected: bool) {
    check(
        json!({"x": tests}),
        json!({"x": value, "other": 1}),
        expected,
    );
}

fn instance_event() -> Value {
    json!({
        "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2", "account": "111122223333", "time": "2017-12-22T18:43:48Z", "region": "us-west-1",
        "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
        "detail": {"instance-id": "i-1234567890abcdef0", "state": "terminated", "c-count": 5, "d-count": 3, "x-limit": 301.8, "source-ip": "10.0.0.33"}
    })
}

/// "Creating Amazon EventBridge event patterns" and "Event pattern syntax".
#[test]
fn members_are_joined_by_and_values_by_or() {
    let pattern = json!({"source": ["aws.ec2"], "detail-type": ["EC2 Instance State-change Notification"], "detail": {"state": ["terminated"]}});
    check(pattern, instance_event(), true);
    check(
        json!({"source": ["aws.ec2", "aws.fargate"]}),
        instance_event(),
        true,
    );
    check(
        json!({"source": ["aws.ec2"], "detail": {"state": ["running"]}}),
        instance_event(),
        false,
    );
    check(
        json!({"source": ["aws.ec2"], "detail": {"status": ["terminated"]}}),
        instance_event(),
        false,
    );
    check(
        json!({"Location": ["New York"], "Day": ["Monday"]}),
        json!({"Location": "New York", "Day": "Tuesday"}),
        false,
    );
    check(json!({"source": ["aws.ec2"]}), json!(["aws.ec2"]), false);
    check(json!({"source": [{"exists": false}]}), json!("text"), false);
}

/// "Matching events on null values and empty strings in Amazon EventBridge".
#[test]
fn null_and_the_empty_text_differ() {
    let event = json!({"resources": [], "detail": {"eventVersion": "", "responseElements": null}});
    check(
        json!({"detail": {"eventVersion": [""]}}),
        event.clone(),
        true,
    );
    check(
        json!({"detail": {"responseElements": [null]}}),
        event.clone(),
        true,
    );
    check(
        json!({"detail": {"responseElements": [""]}}),
        event.clone(),
        false,
    );
    check(
        json!({"detail": {"eventVersion": [null]}}),
        event.clone(),
        false,
    );
    check(json!({"detail": {"missing": [null]}}), event, false);
    check_value(json!([true]), json!(true), true);
    check_value(json!([true]), json!("true"), false);
    check_value(json!([false]), json!(null), false);
}

#[test]
fn numbers_are_equal_by_value() {
    for written in ["300", "300.0", "3.0e2", "3E+2"] {
        let number: Value = serde_json::from_str(written).unwrap();
        check_value(json!([300]), number.clone(), true);
        check_value(json!([number.clone()]), json!(300.0), true);
        check_value(json!([{"numeric": ["=", number]}]), json!(300), true);
    }
    check_value(json!([300]), json!("300"), false);
    check_value(json!(["300"]), json!(300), false);
    check_value(json!([0]), json!(-0.0), true);
    check_value(
        json!([18_446_744_073_709_551_615_u64]),
        json!(18_446_744_073_709_551_615_u64),
        true,
    );
    check_value(
        json!([18_446_744_073_709_551_615_u64]),
        json!(18_446_744_073_709_551_614_u64),
        false,
    );
    check_value(
        json!([9_007_199_254_740_993_u64]),
        json!(9_007_199_254_740_992.0),
        false,
    );
    check_value(json!([1e300]), json!(1e300), true);
    check_value(json!([1e300]), json!(i64::MAX), false);
}

/// "Comparison operators for use in event patterns", sections on prefix, suffix and ignoring case.
#[test]
fn prefix_suffix_and_case() {
    check(
        json!({"time": [{"prefix": "2017-10-02"}]}),
        json!({"time": "2017-10-02T18:43:48Z"}),
        true,
    );
    check(
        json!({"time": [{"prefix": "2017-10-02"}]}),
        json!({"time": "2017-10-03"}),
        false,
    );
    for (service, expected) in [
        ("EventBridge", true),
        ("EVENTBUS", true),
        ("eventb", true),
        ("event", false),
        ("myEventB", false),
    ] {
        check(
            json!({"detail": {"service": [{"prefix": {"equals-ignore-case": "EventB"}}]}}),
            json!({"detail": {"service": service}}),
            expected,
        );
    }
    check_value(json!([{"suffix": ".png"}]), json!("a.png"), true);
    check_value(json!([{"suffix": ".png"}]), json!("a.PNG"), false);
    check_value(
        json!([{"suffix": {"equals-ignore-case": ".png"}}]),
        json!("a.PnG"),
        true,
    );
    check_value(
        json!([{"suffix": {"equals-ignore-case": ".png"}}]),
        json!("png"),
        false,
    );
    check_value(
        json!([{"equals-ignore-case": "alice"}]),
        json!("Alice"),
        true,
    );
    check_value(
        json!([{"equals-ignore-case": "alice"}]),
        json!("Alices"),
        false,
    );
    check_value(json!([{"equals-ignore-case": "ŻÓŁĆ"}]), json!("żółć"), true);
    check_value(json!([{"equals-ignore-case": "ΟΔΟΣ"}]), json!("οδος"), true);
    check_value(
        json!([{"equals-ignore-case": "straße"}]),
        json!("STRAẞE"),
        true,
    );
    check_value(json!([{"prefix": ""}]), json!(""), true);
    check_value(json!([{"prefix": "3"}]), json!(300), false);
    check_value(json!([{"prefix": "nu"}]), json!(null), false);
}

/// The same page, "Anything-but matching".
#[test]
fn anything_but() {
    for (operand, passes, fails) in [
        (
            json!("initializing"),
            json!("running"),
            json!("initializing"),
        ),
        (json!(123), json!(124), json!(123.0)),
        (
            json!(["stopped", "overloaded"]),
            json!("running"),
            json!("overloaded"),
        ),
        (json!([100, 200, 300]), json!(100.5), json!(2e2)),
        (
            json!({"prefix": "init"}),
            json!("running"),
            json!("initializing"),
        ),
        (
            json!({"prefix": ["init", "error"]}),
            json!("running"),
            json!("errors"),
        ),
        (json!({"suffix": ".txt"}), json!("a.png"), json!("a.txt")),
        (
            json!({"suffix": [".txt", ".rtf"]}),
            json!("a.png"),
            json!("a.rtf"),
        ),
        (
            json!({"equals-ignore-case": "initializing"}),
            json!("running"),
            json!("INITIALIZING"),
        ),
        (
            json!({"equals-ignore-case": ["initializing", "stopped"]}),
            json!("running"),
            json!("Stopped"),
        ),
        (
            json!({"wildcard": "*/lib/*"}),
            json!("/usr/bin/x"),
            json!("/usr/lib/x"),
        ),
        (
            json!({"wildcard": ["*/lib/*", "*/bin/*"]}),
            json!("/usr/src/x"),
            json!("/usr/bin/x"),
        ),
    ] {
        let tests = json!([{"anything-but": operand}]);
        check_value(tests.clone(), passes, true);
        check_value(tests.clone(), fails, false);
        for other in [json!(true), json!(null)] {
            check_value(tests.clone(), other, true);
        }
        check(json!({"y": tests}), json!({"x": 1}), false);
    }
    check_value(json!([{"anything-but": "123"}]), json!(123), true);
}

/// The same page, "Numeric matching".
#[test]
fn numeric() {
    let pattern = json!({"detail": {"c-count": [{"numeric": [">", 0, "<=", 5]}], "d-count": [{"numeric": ["<", 10]}], "x-limit": [{"numeric": ["=", 3.018e2]}]}});
    check(pattern, instance_event(), true);
    for (terms, passes, fails) in [
        (json!(["=", 5]), json!(5.0), json!(5.1)),
        (json!(["<", 5]), json!(4.999), json!(5)),
        (json!(["<=", 5]), json!(5), json!(5.000_001)),
        (json!([">", 5]), json!(5.000_001), json!(5)),
        (json!([">=", 5]), json!(5), json!(4)),
        (json!([">", 0, "<=", 5]), json!(5), json!(0)),
        (
            json!([">=", -5.0e9, "<", 5.0e9]),
            json!(-5.0e9),
            json!(5.0e9),
        ),
        (json!([">", 0]), json!(5.0e9), json!(5_000_000_001_u64)),
        (json!(["<", 0]), json!(-1), json!("-1")),
    ] {
        check_value(json!([{"numeric": terms}]), passes, true);
        check_value(json!([{"numeric": terms}]), fails, false);
    }
}

/// The same page, "IP address matching".
#[test]
fn cidr() {
    check(
        json!({"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}}),
        instance_event(),
        true,
    );
    for (block, passes, fails) in [
        ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
        ("10.0.0.77/24", "10.0.0.1", "::ffff:10.0.0.1"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("192.0.2.1/32", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::/32", "2001:DB8:ffff::1", "2001:db9::"),
        ("::/0", "::1", "0.0.0.0"),
        ("2001:db8::1/128", "2001:db8:0:0::1", "2001:db8::2"),
        ("10.0.0.0/8", "10.1.2.3", "10.1.2"),
    ] {
        check_value(json!([{"cidr": block}]), json!(passes), true);
        check_value(json!([{"cidr": block}]), json!(fails), false);
    }
}

/// The same page, "Exists matching": leaves only.
#[test]
fn exists() {
    let wanted = json!({"detail": {"c-count": [{"exists": true}]}});
    let unwanted = json!({"detail": {"c-count": [{"exists": false}]}});
    for (event, present) in [
        (json!({"detail": {"c-count": 0}}), true),
        (json!({"detail": {"c-count": null}}), true),
        (json!({"detail": {"c-count": ["x"]}}), true),
        (json!({"detail": {"state": "x"}}), false),
        (json!({"detail": {"c-count": {"c1": 100}}}), false),
        (json!({"detail": {"c-count": []}}), false),
        (json!({"detail": {"c-count": [{"c1": 1}]}}), false),
        (json!({"detail": "text"}), false),
        (json!({"detail": [1, 2]}), false),
        (json!({"detail": []}), false),
        (json!({}), false),
    ] {
        check(wanted.clone(), event.clone(), present);
        check(unwanted.clone(), event, !present);
    }
    check_value(json!([{"exists": false}, "a"]), json!("a"), true);
    check_value(json!([{"exists": false}, "a"]), json!("b"), false);
    check(json!({"y": [{"exists": false}, "a"]}), json!({}), true);
}

/// The same page, "Wildcards", and "Using wildcard characters in event patterns".
#[test]
fn wildcard() {
    for (pattern, passes, fails) in [
        ("dir/*.png", "dir/a/b.png", "dir/a.png.txt"),
        ("*", "", "\u{0}never"),
        ("Simple*Service", "SimpleService", "SimpleServices"),
        (r"a\*b", "a*b", "axb"),
        (r"a\\*b", r"a\xb", "axb"),
        ("*a*b*", "xxaxxbxx", "xxbxxaxx"),
        ("a*a", "aa", "a"),
        ("", "", "x"),
        ("ż*ć", "żółć", "zolc"),
        (r"\**", "*x", "x*"),
    ] {
        check_value(json!([{"wildcard": pattern}]), json!(passes), true);
        if !fails.ends_with("never") {
            check_value(json!([{"wildcard": pattern}]), json!(fails), false);
        }
    }
    check_value(json!([{"wildcard": "*"}]), json!(1), false);
    let hostile = json!([{"wildcard": format!("{}b", "a*".repeat(5_000))}]);
    check_value(hostile, json!("a".repeat(100_000)), false);
}

#[test]
fn reads_names_every_member_it_may_look_at() {
    let pattern: Pattern = serde_json::from_value(json!({"type": ["a"], "$or": [{"data": {"x": [1]}}, {"$or": [{"subject": ["b"]}, {"time": ["c"]}]}]})).unwrap();
    for (member, expected) in [
        ("type", true),
        ("data", true),
        ("subject", true),
        ("time", true),
        ("x", false),
        ("$or", false),
        ("id", false),
    ] {
        assert_eq!(pattern.reads(member), expected, "{member}");
    }
}

/// A branch of `$or` that says something of an object beside it and of another one.
#[test]
fn or_joins_the_objects_of_the_same_name_only() {
    let pattern = json!({
        "a": {"x": [1]},
        "$or": [{"a": {"y": [2]}, "b": {"z": [3]}}, {"a": {"y": [4]}}],
    });
    for (event, expected) in [
        (json!({"a": {"x": 1, "y": 2}, "b": {"z": 3}}), true),
        (json!({"a": {"x": 1, "y": 4}}), true),
        (json!({"a": {"x": 1, "y": 2, "z": 3}}), false),
        (json!({"a": {"x": 1, "y": 2}, "b": {"z": 4}}), false),
        (json!({"a": [{"x": 1}, {"y": 4}]}), false),
    ] {
        check(pattern.clone(), event, expected);
    }
}

#[test]
fn a_pattern_is_its_json() {
    let of = |name: &str| serde_json::from_value::<Pattern>(json!({"type": [name]})).unwrap();
    assert_eq!(of("a"), of("a"));
    assert_ne!(of("a"), of("b"));
    let source = json!({"type": [{"prefix": "order."}]});
    let pattern: Pattern = serde_json::from_value(source.clone()).unwrap();
    assert_eq!(serde_json::to_value(&pattern).unwrap(), source);
    assert_eq!(pattern.source(), &source);
    assert_eq!(
        pattern,
        Pattern::parse(&source, Dialect::EventBridge).unwrap()
    );
    let from_yaml: Pattern = serde_saphyr::from_str("type: [{ prefix: order. }]").unwrap();
    assert_eq!(from_yaml, pattern);
    let error = serde_json::from_str::<Pattern>(r#"{"type": "a"}"#).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"type: must be a list of values or an object of members: write ["a"]"#),
        "{error}"
    );
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    shared(&pattern);
}
