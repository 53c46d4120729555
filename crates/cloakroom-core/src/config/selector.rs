//! Where in a webhook a value is found.

use std::fmt;
use std::str::FromStr;

use super::diagnostic::{Mistake, echo, nearest};
use super::text::{TextSchema, text_value};

/// Where a value is found: `body:<JSON Pointer>`, `header:<name>`, `query:<name>` or `const:<text>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

impl Selector {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const KINDS: [&str; 4] = ["body", "header", "query", "const"];
const HINT: &str = "write `body:/json/pointer`, `header:name`, `query:name` or `const:text`";

impl FromStr for Selector {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let wrong = |hint: String| {
            Mistake::new(
                format!("{} does not say where the value is found", echo(text)),
                hint,
            )
        };
        let Some((kind, rest)) = text.split_once(':') else {
            let hint = match text.starts_with(['/', '$']) {
                true => format!("did you mean `body:{}`?", likely_pointer(text)),
                false => HINT.to_owned(),
            };
            return Err(wrong(hint));
        };
        match kind {
            "body" => check_pointer(text, rest)?,
            "header" if rest.is_empty() || !rest.bytes().all(is_token) => {
                return Err(Mistake::new(
                    format!("{} does not name a header", echo(text)),
                    "write the header's name, e.g. `header:X-Event-Id`",
                ));
            }
            "query" | "const" if rest.is_empty() => {
                return Err(Mistake::new(format!("nothing follows `{kind}:`"), HINT));
            }
            "header" | "query" | "const" => {}
            _ => {
                let meant =
                    nearest(kind, &KINDS).map(|kind| format!("did you mean `{kind}:{rest}`?"));
                return Err(wrong(meant.unwrap_or_else(|| HINT.to_owned())));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn check_pointer(text: &str, pointer: &str) -> Result<(), Mistake> {
    if !pointer.starts_with('/') {
        return Err(Mistake::new(
            format!(
                "{} is not a JSON Pointer: it does not begin with `/`",
                echo(text)
            ),
            format!("did you mean `body:{}`?", likely_pointer(pointer)),
        ));
    }
    let mut rest = pointer;
    while let Some(at) = rest.find('~') {
        rest = &rest[at + 1..];
        if !rest.starts_with(['0', '1']) {
            return Err(Mistake::new(
                format!("{} has a `~` that escapes nothing", echo(text)),
                "in a JSON Pointer write `~0` for `~` and `~1` for `/` within a name",
            ));
        }
    }
    Ok(())
}

/// The JSON Pointer that a path in another notation, such as `$.data.id`, was meant to be.
fn likely_pointer(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{}", path.trim_start_matches(['$', '.']).replace('.', "/")),
    }
}

/// A character of an HTTP field name (RFC 9110).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(
    Selector,
    TextSchema {
        format: "cloakroom-selector",
        pattern: "^(body:/.*|header:[^\\s:]+|query:.+|const:.+)$",
        examples: &[
            "body:/data/id",
            "header:webhook-id",
            "query:topic",
            "const:all"
        ],
    }
);
