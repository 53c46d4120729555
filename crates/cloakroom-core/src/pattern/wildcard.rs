//! `wildcard`: text in which `*` stands for any characters, none included.

use super::PatternProblem;

/// The literal parts between the asterisks. One part means no asterisk; inner parts are never empty.
#[derive(Debug, Clone)]
pub(super) struct Wildcard {
    first: String,
    rest: Option<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    middle: Vec<String>,
    last: String,
}

impl Wildcard {
    pub(super) fn parse(text: &str) -> Result<Self, PatternProblem> {
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '*' if characters.peek() == Some(&'*') => {
                    return Err(PatternProblem::ConsecutiveWildcards);
                }
                '*' => parts.push(std::mem::take(&mut part)),
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '\\')) => part.push(escaped),
                    _ => return Err(PatternProblem::WildcardEscape),
                },
                other => part.push(other),
            }
        }
        if parts.is_empty() {
            return Ok(Self {
                first: part,
                rest: None,
            });
        }
        let first = parts.remove(0);
        Ok(Self {
            first,
            rest: Some(Rest {
                middle: parts,
                last: part,
            }),
        })
    }

    /// Linear in the text: taking the leftmost place of each inner part never loses a match.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(rest) = &self.rest else {
            return text == self.first;
        };
        let Some(mut text) = text
            .strip_prefix(&self.first)
            .and_then(|text| text.strip_suffix(&rest.last))
        else {
            return false;
        };
        for part in &rest.middle {
            let Some(at) = text.find(part.as_str()) else {
                return false;
            };
            text = &text[at + part.len()..];
        }
        true
    }
}
