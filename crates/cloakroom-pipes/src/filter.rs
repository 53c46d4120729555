//! Which records a pipe passes on.

use cloakroom_core::pattern::Pattern;
use serde_json::Value;

/// The filters of a pipe: a record passes when it matches any of them, or when there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Filters(Vec<Pattern>);

impl Filters {
    /// Filters, joined by *or*.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Whether a record, in the shape in which targets receive it, passes.
    pub fn pass(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(record))
    }
}
