//! Values that people write as text: one way to read, write and describe them all, and to say what is wrong with them.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

/// The longest piece of the user's text that a message repeats, in characters.
const ECHO_MAX: usize = 48;

/// What the schema says about a text value.
pub(crate) struct TextSchema {
    /// The type's name, e.g. `duration`.
    pub(crate) format: &'static str,
    /// A regular expression in the dialect of JSON Schema.
    pub(crate) pattern: &'static str,
    /// Values that are right.
    pub(crate) examples: &'static [&'static str],
}

impl TextSchema {
    pub(crate) fn json_schema(&self) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": self.format,
            "pattern": self.pattern,
            "examples": self.examples,
        })
    }
}

/// Reads any scalar as text and parses it, so that `5` for a duration is told apart from a wrong type.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_any(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<T, E> {
        self.visit_str(&truth.to_string())
    }
}

/// Implements serde and the schema for a type that has `FromStr` and `Display`. The text of an error is `message; hint`.
macro_rules! text_value {
    ($type:ident, $schema:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema.json_schema()
            }
        }
    };
}

pub(crate) use text_value;

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
    pub(crate) fn of_key(key: &str, message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self {
            message: format!("`{key}`: {message}"),
            hint: hint.into(),
        }
    }

    /// Takes the text of any error apart: the key it is about, the message and the hint.
    pub(crate) fn take_apart(text: &str) -> (Option<String>, String, Option<String>) {
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
pub(crate) fn echo(text: &str) -> String {
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
pub(crate) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
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
pub(crate) fn did_you_mean(found: &str, known: &[&str], what: &str) -> String {
    match nearest(found, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None if known.is_empty() => format!("no {what} are known here"),
        None => format!("known {what}: {}", known.join(", ")),
    }
}

/// Whether `name` can be the name of a header (RFC 9110, section 5.6.2).
pub(crate) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_taken_apart_as_it_was_put_together() {
        let parts = |text: &str| {
            let (key, message, hint) = Mistake::take_apart(text);
            (key.unwrap_or_default(), message, hint.unwrap_or_default())
        };
        let told = |key: &str, message: &str, hint: &str| (key.into(), message.into(), hint.into());
        let of_key = Mistake::of_key("after", "`x` is no time; really", "write `5s`").to_string();
        assert_eq!(
            parts(&of_key),
            told("after", "`x` is no time; really", "write `5s`")
        );
        assert_eq!(parts("what went wrong"), told("", "what went wrong", ""));
        // What stands in backquotes here is not one key.
        assert_eq!(
            parts("`a` and `b`: both"),
            told("", "`a` and `b`: both", "")
        );
    }

    #[test]
    fn what_the_user_wrote_is_cut_only_when_it_is_long() {
        let longest = "ü".repeat(ECHO_MAX);
        assert_eq!(echo(&longest), format!("`{longest}`"));
        assert_eq!(echo(&format!("{longest}a")), format!("`{longest}…`"));
        assert_eq!(echo(&longest.repeat(2)), format!("`{longest}…`"));
        assert_eq!(echo("a\nb"), "`a\\nb`");
    }

    #[test]
    fn words_that_are_nearly_known_are_guessed() {
        let known = ["retry", "park"];
        assert_eq!(
            did_you_mean("rety", &known, "words"),
            "did you mean `retry`?"
        );
        assert_eq!(
            did_you_mean("nothing", &known, "words"),
            "known words: retry, park"
        );
        assert_eq!(did_you_mean("x", &[], "words"), "no words are known here");
    }
}
