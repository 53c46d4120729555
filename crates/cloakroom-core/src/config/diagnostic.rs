//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// The longest piece of the user's text that a message repeats, in characters.
const ECHO_MAX: usize = 48;

/// One problem in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Line, from 1. 0 when the problem has no place in the file.
    pub line: u64,
    /// Column in characters, from 1. 0 when the problem has no place in the file.
    pub column: u64,
    /// The key, e.g. `sources.transfers.order.kind`. Empty for the document itself.
    pub path: String,
    /// What was found, as a lower-case fragment. Never contains a secret.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Every problem that was found, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// `Err` with the problems in the order of the file, `Ok` when there are none.
    pub(super) fn check(mut problems: Vec<Diagnostic>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        problems.dedup();
        Err(Self(problems))
    }

    /// The problems, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// The problems as an owned list.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(problem: Diagnostic) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(problem, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A value that does not read as what it should be: what was found, and the remedy.
///
/// Its text is `message; hint`. The reader of the configuration takes it apart again at the last `; `, and takes a
/// message that begins with a key in backquotes and a colon to be about that key of the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct Mistake {
    /// What was found, as a lower-case fragment.
    pub message: String,
    /// What to do about it. Contains no `; `.
    pub hint: String,
}

impl Mistake {
    /// A mistake in the value as a whole.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A mistake in one key of the value.
    pub(super) fn of_key(key: &str, message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self {
            message: format!("`{key}`: {message}"),
            hint: hint.into(),
        }
    }

    /// Takes the text of any error apart: the key it is about, the message and the hint.
    pub(super) fn take_apart(text: &str) -> (Option<String>, String, Option<String>) {
        let (message, hint) = match text.rsplit_once("; ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (text, None),
        };
        let about = message
            .strip_prefix('`')
            .and_then(|rest| rest.split_once("`: "));
        match about {
            Some((key, message)) if !key.contains('`') => {
                (Some(key.to_owned()), message.to_owned(), hint)
            }
            _ => (None, message.to_owned(), hint),
        }
    }
}

/// The user's own text in backquotes, cut when long, with control characters escaped.
pub(super) fn echo(text: &str) -> String {
    let mut shown: String = text.chars().take(ECHO_MAX).flat_map(show).collect();
    if text.chars().count() > ECHO_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn show(character: char) -> Vec<char> {
    if character.is_control() {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}

/// The known word that `found` was most likely meant to be.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase().replace('_', "-");
    known
        .iter()
        .map(|word| {
            (
                strsim::damerau_levenshtein(&found, &word.to_lowercase().replace('_', "-")),
                *word,
            )
        })
        .filter(|(distance, word)| *distance <= (word.chars().count().max(3) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `did you mean …?`, or else the list of what is known.
pub(super) fn did_you_mean(found: &str, known: &[&str], what: &str) -> String {
    match nearest(found, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => format!("no {what} are known here"),
        None => format!("known {what}: {}", known.join(", ")),
    }
}
