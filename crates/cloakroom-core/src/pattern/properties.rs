//! Properties over generated patterns and events.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of `json!` values read best by value"
)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(Value::from),
        "[ab*\\\\]{0,4}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 48, 5, |inner| {
        let name = prop::sample::select(&["a", "b", "c", "", "$or", "prefix"][..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(&["a", "b", "c"][..]);
    prop::collection::hash_map(name, any_json(), 0..4).prop_map(object)
}

fn any_test() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..3).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(|exists| json!({"exists": exists})),
        "[ab]{0,2}".prop_map(|text| json!({"prefix": text})),
        "[ab]{1,2}".prop_map(|text| json!({"anything-but": {"suffix": text}})),
        (-3_i64..3).prop_map(|low| json!({"numeric": [">=", low, "<", low + 2]})),
    ]
}

fn any_pattern() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(&["a", "b", "c"][..]);
    let flat = prop::collection::hash_map(
        name(),
        prop::collection::vec(any_test(), 1..3).prop_map(Value::from),
        1..3,
    )
    .prop_map(object);
    flat.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::hash_map(name(), inner.clone(), 1..3).prop_map(object),
            (inner.clone(), inner.clone(), inner).prop_map(|(mut beside, one, other)| {
                beside["$or"] = json!([one, other]);
                beside
            }),
        ]
    })
}

fn object(members: std::collections::HashMap<&'static str, Value>) -> Value {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn matches(tests: Value, value: &Value) -> bool {
    let pattern = json!({"x": tests});
    Pattern::parse(&pattern, Dialect::EventBridge)
        .unwrap()
        .matches(&json!({"x": value}))
}

/// Wildcards by trying everything.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && naive(rest, &text[1..]),
        [literal, rest @ ..] => text.first() == Some(literal) && naive(rest, &text[1..]),
    }
}

/// Does the event without arrays match? By the definition alone.
fn plainly(pattern: &Value, event: Option<&Value>) -> bool {
    let members = pattern.as_object().unwrap();
    members.iter().all(|(name, value)| {
        let at = event.and_then(|event| event.get(name));
        match value {
            Value::Array(branches) if name == "$or" => {
                branches.iter().any(|branch| plainly(branch, event))
            }
            Value::Object(_) => plainly(value, at),
            tests => match at.filter(|leaf| !leaf.is_object()) {
                Some(leaf) => matches(tests.clone(), leaf),
                None => tests
                    .as_array()
                    .unwrap()
                    .contains(&json!({"exists": false})),
            },
        }
    })
}

fn without_arrays(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements
            .into_iter()
            .next()
            .map_or(Value::Null, without_arrays),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, without_arrays(value)))
            .collect(),
        scalar => scalar,
    }
}

proptest! {
    #[test]
    fn anything_may_be_parsed_and_matched(pattern in any_json(), event in any_json()) {
        for dialect in [Dialect::EventBridge, Dialect::Pipes] {
            if let Ok(pattern) = Pattern::parse(&pattern, dialect) {
                pattern.matches(&event);
            }
        }
    }

    #[test]
    fn without_arrays_the_definition_is_plain(pattern in any_pattern(), event in any_event()) {
        let event = without_arrays(event);
        let compiled = Pattern::parse(&pattern, Dialect::EventBridge).unwrap();
        prop_assert_eq!(compiled.matches(&event), plainly(&pattern, Some(&event)));
    }

    #[test]
    fn members_that_are_not_read_do_not_matter(pattern in any_pattern(), event in any_event()) {
        let pattern = Pattern::parse(&pattern, Dialect::EventBridge).unwrap();
        let read: Value = event.as_object().unwrap().iter().filter(|(name, _)| pattern.reads(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
        prop_assert_eq!(pattern.matches(&read), pattern.matches(&event));
    }

    #[test]
    fn a_list_of_one_is_its_element(pattern in any_pattern(), event in any_event()) {
        let pattern = Pattern::parse(&pattern, Dialect::EventBridge).unwrap();
        let wrapped: Value = event.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
        prop_assert_eq!(pattern.matches(&wrapped), pattern.matches(&event));
    }

    #[test]
    fn anything_but_is_the_opposite_of_the_value(value in scalar().prop_filter("a string or a number", |value| value.is_string() || value.is_number()), other in scalar()) {
        prop_assert!(matches(json!([value]), &value));
        for leaf in [&value, &other] {
            prop_assert_ne!(matches(json!([{"anything-but": value}]), leaf), matches(json!([value]), leaf));
        }
    }

    #[test]
    fn prefix_and_suffix_are_those_of_text(part in "[aż]{0,3}", text in "[aż]{0,5}") {
        prop_assert_eq!(matches(json!([{"prefix": part}]), &json!(text)), text.starts_with(&part));
        prop_assert_eq!(matches(json!([{"suffix": part}]), &json!(text)), text.ends_with(&part));
        let (part, upper) = (part.as_str(), text.to_uppercase());
        prop_assert_eq!(matches(json!([{"prefix": {"equals-ignore-case": part}}]), &json!(upper)), text.starts_with(part));
        prop_assert_eq!(matches(json!([{"suffix": {"equals-ignore-case": part}}]), &json!(upper)), text.ends_with(part));
        prop_assert_eq!(matches(json!([{"equals-ignore-case": part}]), &json!(upper)), text == part);
    }

    #[test]
    fn wildcards_agree_with_trying_everything(parts in prop::collection::vec(prop_oneof!["[ab]{1,2}", Just(r"\*".to_owned()), Just(r"\\".to_owned()), Just("*".to_owned())], 0..6), text in r"[ab*\\]{0,7}") {
        let pattern = parts.concat();
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        match Pattern::parse(&json!({"x": [{"wildcard": pattern}]}), Dialect::EventBridge) {
            Ok(compiled) => prop_assert_eq!(compiled.matches(&json!({"x": text})), naive(&characters(&pattern), &characters(&text))),
            Err(error) => prop_assert!(parts.windows(2).any(|pair| pair == ["*", "*"]), "{}", error),
        }
    }

    #[test]
    fn numeric_is_comparison(low in -10_i32..10, width in 1_i32..5, value in -20.0..20.0_f64) {
        let high = low + width;
        let (bottom, top) = (f64::from(low), f64::from(high));
        prop_assert_eq!(matches(json!([{"numeric": [">", low, "<=", high]}]), &json!(value)), value > bottom && value <= top);
        prop_assert_eq!(matches(json!([{"numeric": [">=", low]}]), &json!(high)), true);
    }
}
