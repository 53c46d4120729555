//! Tables of what is refused, and how.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` values read best by value"
)]

use serde_json::{Value, json};

use super::*;

#[track_caller]
pub(super) fn refused(dialect: Dialect, pattern: Value, error: &str) {
    assert_eq!(
        Pattern::parse(&pattern, dialect).unwrap_err().to_string(),
        error,
        "{pattern}"
    );
}

#[test]
fn refusals_name_the_place_and_the_remedy() {
    let cases = [
        (
            json!([]),
            r#"the pattern: must be an object of member names, e.g. {"type": ["order.paid"]}"#,
        ),
        (
            json!({}),
            "the pattern: an empty object matches nothing: name a member, or leave the filter out to match everything",
        ),
        (
            json!({"type": []}),
            r#"type: an empty list matches nothing: give at least one value, or {"exists": true} for any value"#,
        ),
        (
            json!({"data": {"type": "a"}}),
            r#"data.type: must be a list of values or an object of members: write ["a"]"#,
        ),
        (
            json!({"type": {"prefix": "a"}}),
            r#"type.prefix: `prefix` compares a value and belongs in a list: write [{"prefix": …}] as the member's value"#,
        ),
        (
            json!({"type": [["a"]]}),
            "type[0]: a list within a list never matches: write its values side by side",
        ),
        (
            json!({"type": ["a", {"prefx": "a"}]}),
            "type[1].prefx: `prefx` is no operator: did you mean `prefix`?",
        ),
        (
            json!({"type": [{"equalsIgnoreCase": "a"}]}),
            "type[0].equalsIgnoreCase: `equalsIgnoreCase` is no operator: did you mean `equals-ignore-case`?",
        ),
        (
            json!({"type": [{"regex": "a"}]}),
            "type[0].regex: `regex` is no operator: use one of `prefix`, `suffix`, `equals-ignore-case`, `anything-but`, `numeric`, `cidr`, `exists`, `wildcard`",
        ),
        (
            json!({"type": [{}]}),
            "type[0]: needs exactly one operator: write each in an object of its own, side by side in the list",
        ),
        (
            json!({"type": [{"prefix": "a", "suffix": "b"}]}),
            "type[0]: needs exactly one operator: write each in an object of its own, side by side in the list",
        ),
        (
            json!({"type": [{"prefix": 1}]}),
            "type[0].prefix: must be a string",
        ),
        (
            json!({"type": [{"prefix": {"suffix": "a"}}]}),
            "type[0].prefix.suffix: `suffix` is no operator: use one of `equals-ignore-case`",
        ),
        (
            json!({"x": [{"exists": 1}]}),
            "x[0].exists: must be true or false",
        ),
        (
            json!({"x": [{"anything-but": ["a", 1]}]}),
            "x[0].anything-but: must be all strings or all numbers: write one `anything-but` with one kind, and test the other kind in a pattern of its own",
        ),
        (
            json!({"x": [{"anything-but": []}]}),
            r#"x[0].anything-but: an empty list matches nothing: give at least one value, or {"exists": true} for any value"#,
        ),
        (
            json!({"x": [{"anything-but": [true]}]}),
            "x[0].anything-but[0]: must be a string, a number, a list of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case`, `wildcard`",
        ),
        (
            json!({"x": [{"anything-but": {"prefix": ""}}]}),
            "x[0].anything-but.prefix: must be a string that is not empty",
        ),
        (
            json!({"x": [{"anything-but": {"wildcard": ["a", "**"]}}]}),
            r"x[0].anything-but.wildcard[1]: two `*` in a row mean the same as one: write one, or `\*` (in JSON `\\*`) for an asterisk",
        ),
        (
            json!({"x": [{"anything-but": {"numeric": ["=", 1]}}]}),
            "x[0].anything-but.numeric: `numeric` is no operator: use one of `prefix`, `suffix`, `equals-ignore-case`, `wildcard`",
        ),
        (
            json!({"x": [{"numeric": ["<", 5, ">", 0]}]}),
            r#"x[0].numeric: must be one comparison, e.g. [">=", 10], or a range with the lower bound first, e.g. [">", 0, "<=", 5]"#,
        ),
        (
            json!({"x": [{"numeric": [">", "5"]}]}),
            r#"x[0].numeric: must be one comparison, e.g. [">=", 10], or a range with the lower bound first, e.g. [">", 0, "<=", 5]"#,
        ),
        (
            json!({"x": [{"numeric": [">", 5, "<", 5]}]}),
            "x[0].numeric: the lower bound must be less than the upper bound",
        ),
        (
            json!({"x": [{"numeric": [">", 5.1e9]}]}),
            "x[0].numeric[1]: must lie between -5.0e9 and 5.0e9: `numeric` compares nothing beyond; match larger numbers by value, without an operator",
        ),
        (
            json!({"x": [{"cidr": "10.0.0.0/33"}]}),
            "x[0].cidr: must be an address block, e.g. 10.0.0.0/24 (up to /32) or 2001:db8::/32 (up to /128)",
        ),
        (
            json!({"x": [{"wildcard": "a\\b"}]}),
            r"x[0].wildcard: a backslash may only precede `*` or another backslash: write `\\` (in JSON `\\\\`) for a backslash",
        ),
        (
            json!({"$or": [{"a": [1]}]}),
            r#"$or: must be a list of at least two objects, e.g. [{"type": ["a"]}, {"subject": ["b"]}]"#,
        ),
        (
            json!({"$or": [{"a": [1]}, 1]}),
            r#"$or[1]: must be an object of member names, e.g. {"type": ["order.paid"]}"#,
        ),
        (
            json!({"$or": [{"a": [1]}, {"b": {"exists": [true]}}]}),
            "$or[1].b.exists: `exists` is reserved and cannot be a member's name inside `$or`: move that member out of the `$or`",
        ),
    ];
    for (pattern, error) in cases {
        refused(Dialect::EventBridge, pattern, error);
    }
    for address in [
        "10.0.0.0",
        "10.0.0/8",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "::/129",
        "host/8",
    ] {
        let error =
            Pattern::parse(&json!({"x": [{"cidr": address}]}), Dialect::EventBridge).unwrap_err();
        assert_eq!(error.problem, PatternProblem::Cidr, "{address}");
    }
}

#[test]
fn size_and_depth_are_limited() {
    let nest = |levels| (1..levels).fold(json!({"a": [1]}), |inner, _| json!({"a": inner}));
    assert!(Pattern::parse(&nest(PATTERN_MAX_DEPTH), Dialect::EventBridge).is_ok());
    let error = Pattern::parse(&nest(PATTERN_MAX_DEPTH + 1), Dialect::EventBridge).unwrap_err();
    assert_eq!(error.problem, PatternProblem::TooDeep);
    let nest = |levels| {
        let or = |inner, _| json!({"$or": [{"a": [1]}, inner]});
        (1..levels).fold(json!({"a": [1]}), or)
    };
    assert!(Pattern::parse(&nest(PATTERN_MAX_DEPTH), Dialect::EventBridge).is_ok());
    let error = Pattern::parse(&nest(PATTERN_MAX_DEPTH + 1), Dialect::EventBridge).unwrap_err();
    assert_eq!(error.problem, PatternProblem::TooDeep);
    let large = json!({"a": ["x".repeat(PATTERN_MAX_BYTES)]});
    assert_eq!(
        Pattern::parse(&large, Dialect::EventBridge)
            .unwrap_err()
            .problem,
        PatternProblem::TooLarge
    );
}

/// The column "Pipe support" of "Comparison operators for use in event patterns".
#[test]
fn pipes_know_fewer_operators() {
    for (operator, supported) in [
        (json!("x"), true),
        (json!({"prefix": "a"}), true),
        (json!({"prefix": {"equals-ignore-case": "a"}}), true),
        (json!({"suffix": "a"}), true),
        (json!({"suffix": {"equals-ignore-case": "a"}}), true),
        (json!({"equals-ignore-case": "a"}), true),
        (json!({"anything-but": "a"}), true),
        (json!({"anything-but": [1, 2]}), true),
        (json!({"numeric": [">", 1]}), true),
        (json!({"exists": false}), true),
        (json!({"anything-but": {"prefix": "a"}}), false),
        (json!({"anything-but": {"suffix": "a"}}), false),
        (json!({"anything-but": {"equals-ignore-case": "a"}}), false),
        (json!({"anything-but": {"wildcard": "a"}}), false),
        (json!({"wildcard": "a*"}), false),
    ] {
        let pattern = json!({"$or": [{"x": [operator]}, {"y": [1]}]});
        assert_eq!(
            Pattern::parse(&pattern, Dialect::Pipes).is_ok(),
            supported,
            "{pattern}"
        );
        assert!(
            Pattern::parse(&pattern, Dialect::EventBridge).is_ok(),
            "{pattern}"
        );
    }
    refused(
        Dialect::Pipes,
        json!({"x": [{"wildcard": "a"}]}),
        "x[0].wildcard: a pipe does not support `wildcard`: use `prefix` or `suffix`",
    );
}
