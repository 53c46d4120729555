//! The YAML document as a tree that remembers where everything stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, MergeKeyPolicy, Spanned};

use super::{child, entry};
use crate::config::diagnostic::{Diagnostic, Diagnostics, echo};

/// A place in the file: line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::config) struct Place {
    pub(in crate::config) line: u64,
    pub(in crate::config) column: u64,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(in crate::config) struct Node {
    pub(in crate::config) at: Place,
    pub(in crate::config) value: Value,
}

/// What YAML can say. A mapping's entries are in the order of the file.
#[derive(Debug, Clone)]
pub(in crate::config) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// What the value is, for messages. Says nothing of its content, which may be a secret.
    pub(in crate::config) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The text of a mapping's key.
    pub(in crate::config) fn key(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            _ => "",
        }
    }
}

/// Where every path of a document stands: a mapping at its key, anything else at its value.
///
/// Places are no part of what a configuration means, so any two are equal.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Places(BTreeMap<String, Spot>);

#[derive(Debug, Clone, Copy)]
struct Spot {
    key: Place,
    value: Place,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    fn of(root: &Node) -> Self {
        let mut places = Self::default();
        places.add("", root.at, root);
        places
    }

    fn add(&mut self, path: &str, key: Place, node: &Node) {
        let value = if matches!(node.value, Value::Map(_) | Value::Null) {
            key
        } else {
            node.at
        };
        self.0.insert(path.to_owned(), Spot { key, value });
        match &node.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.add(&child(path, key.key()), key.at, value);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(&entry(path, index), item.at, item);
                }
            }
            _ => {}
        }
    }

    /// A problem at `path`, placed at what is written there, or else at the nearest thing around it.
    pub(in crate::config) fn diagnose(
        &self,
        path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        let at = self
            .around(path)
            .map_or_else(Place::default, |places| places.value);
        Diagnostic {
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// The same, placed at the key itself.
    pub(in crate::config) fn diagnose_key(
        &self,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let at = self
            .around(path)
            .map_or_else(Place::default, |places| places.key);
        Diagnostic {
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.into(),
            hint,
        }
    }

    fn around(&self, mut path: &str) -> Option<Spot> {
        loop {
            if let Some(places) = self.0.get(path) {
                return Some(*places);
            }
            if path.is_empty() {
                return None;
            }
            path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
        }
    }
}

/// Reads one YAML document.
pub(in crate::config) fn parse(text: &str) -> Result<(Node, Places), Diagnostics> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let root: Node = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| syntax_error(text, &error))?;
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let mut problems = Vec::new();
    inspect(&root, "", &lines, &mut problems);
    Diagnostics::check(problems)?;
    let places = Places::of(&root);
    Ok((root, places))
}

/// Finds keys that stand twice, and plain words that Terraform's YAML reader takes for something else.
fn inspect(node: &Node, path: &str, lines: &[&str], problems: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Text(text) => inspect_word(text, node.at, path, lines, problems),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                inspect(item, &entry(path, index), lines, problems);
            }
        }
        Value::Map(entries) => {
            let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
            for (key, value) in entries {
                let path = child(path, key.key());
                if let Some(first) = seen.get(key.key()) {
                    problems.push(Diagnostic {
                        line: key.at.line,
                        column: key.at.column,
                        path: path.clone(),
                        message: format!(
                            "the key stands here twice: the first is on line {}",
                            first.line
                        ),
                        hint: Some("remove one of them".to_owned()),
                    });
                } else {
                    seen.insert(key.key(), key.at);
                }
                inspect_word(key.key(), key.at, &path, lines, problems);
                inspect(value, &path, lines, problems);
            }
        }
        _ => {}
    }
}

/// Words that YAML 1.1 readers, Terraform's among them, take for true or false.
const YAML_1_1_BOOLEANS: [&str; 8] = ["y", "yes", "on", "n", "no", "off", "true", "false"];

fn inspect_word(text: &str, at: Place, path: &str, lines: &[&str], problems: &mut Vec<Diagnostic>) {
    if !YAML_1_1_BOOLEANS.contains(&text.to_lowercase().as_str()) || is_quoted(at, lines) {
        return;
    }
    problems.push(Diagnostic {
        line: at.line,
        column: at.column,
        path: path.to_owned(),
        message: format!(
            "{} without quotes means true or false to some readers of YAML, Terraform among them",
            echo(text)
        ),
        hint: Some(format!("write true or false, or \"{text}\" in quotes")),
    });
}

fn is_quoted(at: Place, lines: &[&str]) -> bool {
    let index = |number: u64| {
        usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1))
    };
    let line = index(at.line).and_then(|line| lines.get(line));
    let first = line
        .zip(index(at.column))
        .and_then(|(line, column)| line.chars().nth(column));
    matches!(first, Some('"' | '\'' | '|' | '>'))
}

fn syntax_error(text: &str, error: &Error) -> Diagnostics {
    let error = error.without_snippet();
    let at: Place = error.location().map(Place::from).unwrap_or_default();
    let (message, hint) = match error {
        Error::MergeKeyNotAllowed { .. } => (
            "merge keys (`<<`) are not read".to_owned(),
            "write the keys out",
        ),
        Error::UnsupportedTag { .. } => {
            ("YAML tags (`!…`) are not read".to_owned(), "remove the tag")
        }
        Error::MultipleDocuments { .. } => (
            "a second document begins here".to_owned(),
            "keep one document in the file: remove the `---` between",
        ),
        Error::UnknownAnchor { .. } => (
            "the alias (`*…`) names no anchor".to_owned(),
            "define it with `&` before, or put the text in quotes when it is meant as it stands",
        ),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => (
            "the document is too large or too deeply nested".to_owned(),
            "keep it small and flat",
        ),
        other if other.to_string().contains("anchor or alias") => (
            "a `*` or `&` without quotes begins an alias or an anchor".to_owned(),
            "put the text in quotes, e.g. `[\"*\"]`",
        ),
        Error::Message { msg, .. } => (lower_first(msg), SYNTAX_HINT),
        other => (lower_first(strip_place(&other.to_string())), SYNTAX_HINT),
    };
    if let Some(tab) = tab_indentation(text, at.line) {
        return Diagnostic {
            line: tab.line,
            column: tab.column,
            path: String::new(),
            message: "a tab indents this line".to_owned(),
            hint: Some("indent with spaces: YAML does not take tabs".to_owned()),
        }
        .into();
    }
    Diagnostic {
        line: at.line,
        column: at.column,
        path: String::new(),
        message: format!("not valid YAML: {message}"),
        hint: Some(hint.to_owned()),
    }
    .into()
}

const SYNTAX_HINT: &str =
    "check the indentation, brackets and quotes on this line and the one before";

/// A tab in the indentation of the line of a syntax error, or of the line before it.
fn tab_indentation(text: &str, line: u64) -> Option<Place> {
    let line = usize::try_from(line).ok()?;
    let lines = text
        .lines()
        .enumerate()
        .skip(line.saturating_sub(2))
        .take(2);
    for (index, content) in lines {
        let indentation = &content[..content.len() - content.trim_start_matches([' ', '\t']).len()];
        if let Some(column) = indentation.find('\t') {
            let number = |index: usize| u64::try_from(index + 1).unwrap_or(u64::MAX);
            return Some(Place {
                line: number(index),
                column: number(column),
            });
        }
    }
    None
}

fn strip_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

fn lower_first(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<Value> = Spanned::deserialize(deserializer)?;
        Ok(Self {
            at: spanned.referenced.into(),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(u64::try_from(number).map_or(Value::Signed(number), Value::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let at: Place = key.referenced.into();
            if key.value.is_empty() {
                return Err(A::Error::custom("a key is empty"));
            }
            entries.push((
                Node {
                    at,
                    value: Value::Text(key.value),
                },
                map.next_value()?,
            ));
        }
        Ok(Value::Map(entries))
    }
}
