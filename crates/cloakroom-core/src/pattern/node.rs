//! A compiled pattern, and how an event is held against it.

use std::slice;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::test::Test;

/// One object of a pattern: all members and all `$or` must fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) members: Vec<(Arc<str>, Member)>,
    pub(super) ors: Vec<Vec<Node>>,
}

/// What a member must be.
#[derive(Debug, Clone)]
pub(super) enum Member {
    Leaf(Arc<[Test]>),
    Object(Node),
}

/// How a part of the pattern fits a part of the event.
///
/// The middle case exists for arrays of objects. A part that fits only because things are absent has chosen no element, so the
/// absence must hold in every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// Every test passed because what it tests is missing.
    Absent,
    /// At least one test passed for a value that is there.
    Present,
}

impl Node {
    pub(super) fn fit(&self, value: Option<&Value>) -> Fit {
        match value {
            Some(Value::Array(elements)) => self.fit_elements(elements),
            Some(Value::Object(members)) => self.fit_members(Some(members)),
            _ => self.fit_members(None),
        }
    }

    pub(super) fn mentions(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| &**member == name)
            || self
                .ors
                .iter()
                .flatten()
                .any(|branch| branch.mentions(name))
    }

    fn fit_elements(&self, elements: &[Value]) -> Fit {
        let mut fit = self.fit_members(None);
        for element in Flat::new(elements) {
            match self.fit(Some(element)) {
                Fit::Present => return Fit::Present,
                Fit::Absent => {}
                Fit::No => fit = Fit::No,
            }
        }
        fit
    }

    fn fit_members(&self, event: Option<&Map<String, Value>>) -> Fit {
        let mut fit = Fit::Absent;
        for (name, member) in &self.members {
            match member.fit(event.and_then(|event| event.get(&**name))) {
                Fit::No => return Fit::No,
                found => fit = fit.max(found),
            }
        }
        for branches in &self.ors {
            match branches
                .iter()
                .map(|branch| branch.fit_members(event))
                .max()
            {
                None | Some(Fit::No) => return Fit::No,
                Some(found) => fit = fit.max(found),
            }
        }
        fit
    }
}

impl Member {
    fn fit(&self, value: Option<&Value>) -> Fit {
        match self {
            Self::Object(node) => node.fit(value),
            Self::Leaf(tests) => {
                let mut missing = true;
                for leaf in value
                    .into_iter()
                    .flat_map(|value| Flat::new(slice::from_ref(value)))
                    .filter(|value| !value.is_object())
                {
                    if tests.iter().any(|test| test.holds(leaf)) {
                        return Fit::Present;
                    }
                    missing = false;
                }
                if missing && tests.iter().any(|test| matches!(test, Test::Exists(false))) {
                    Fit::Absent
                } else {
                    Fit::No
                }
            }
        }
    }
}

/// The elements of an array, those of nested arrays in their place. Keeps its own stack: an event may nest as deeply as it likes.
struct Flat<'a> {
    current: slice::Iter<'a, Value>,
    outer: Vec<slice::Iter<'a, Value>>,
}

impl<'a> Flat<'a> {
    fn new(elements: &'a [Value]) -> Self {
        Self {
            current: elements.iter(),
            outer: Vec::new(),
        }
    }
}

impl<'a> Iterator for Flat<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        loop {
            match self.current.next() {
                Some(Value::Array(elements)) => self
                    .outer
                    .push(std::mem::replace(&mut self.current, elements.iter())),
                Some(value) => return Some(value),
                None => self.current = self.outer.pop()?,
            }
        }
    }
}
