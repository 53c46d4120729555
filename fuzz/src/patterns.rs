//! Event patterns. Input: the pattern as JSON on one line, then the event.
//!
//! What is compared: the two dialects; the pattern as it writes itself; the event with its members the other way round; and the
//! event without what the pattern says it does not look at.

use cloakroom_core::pattern::{Dialect, Pattern};
use serde_json::{Map, Value};

use crate::line;

/// The target.
pub fn run(data: &[u8]) {
    let (pattern, event) = line(data);
    let Ok(pattern) = serde_json::from_slice::<Value>(pattern) else {
        return;
    };
    let in_pipes = Pattern::parse(&pattern, Dialect::Pipes);
    let compiled = match Pattern::parse(&pattern, Dialect::EventBridge) {
        Ok(compiled) => compiled,
        Err(error) => {
            assert!(in_pipes.is_err(), "only pipes take it: {error}");
            return;
        }
    };
    let Ok(event) = serde_json::from_slice::<Value>(event) else {
        return;
    };
    let answer = compiled.matches(&event);
    if let Ok(in_pipes) = in_pipes {
        assert_eq!(in_pipes.matches(&event), answer, "the dialects disagree");
    }
    let again = Pattern::parse(compiled.source(), Dialect::EventBridge).expect("it was one before");
    assert_eq!(again, compiled);
    assert_eq!(again.matches(&event), answer);
    assert_eq!(
        compiled.matches(&reversed(&event)),
        answer,
        "the order of members matters"
    );
    if let Value::Object(members) = &event {
        let read = members.iter().filter(|(name, _)| compiled.reads(name));
        let read: Map<_, _> = read
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        assert_eq!(
            compiled.matches(&Value::Object(read)),
            answer,
            "it read more than it said"
        );
    }
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .rev()
            .map(|(name, value)| (name.clone(), reversed(value)))
            .collect(),
        Value::Array(elements) => elements.iter().map(reversed).collect(),
        scalar => scalar.clone(),
    }
}
