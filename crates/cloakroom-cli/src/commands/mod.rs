//! A file per command.

pub(crate) mod config;
pub(crate) mod cost;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod listen;
pub(crate) mod parked;
pub(crate) mod quarantine;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod streams;
pub(crate) mod subscriptions;

use serde_json::Value;

use crate::client::Listed;
use crate::exit::Failure;
use crate::output;

/// Prints a list: `pointers` say where the columns are found in an item.
pub(crate) fn show_list(
    listed: &Listed,
    columns: &[(&str, &str)],
    json: bool,
    none: &str,
) -> Result<(), Failure> {
    if json {
        output::json(&listed.items)?;
    } else if listed.items.is_empty() {
        output::note(none);
    } else {
        let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
        let cell = |item: &Value, pointer: &str| {
            item.pointer(pointer)
                .map_or_else(|| "-".to_owned(), output::scalar)
        };
        let row = |item: &Value| {
            columns
                .iter()
                .map(|(_, pointer)| cell(item, pointer))
                .collect()
        };
        output::table(&headings, listed.items.iter().map(row).collect())?;
    }
    if listed.more {
        output::note("there are more; show all of them with --all");
    }
    Ok(())
}

/// Prints one thing.
pub(crate) fn show(value: &Value, json: bool) -> Result<(), Failure> {
    if json {
        output::json(value)
    } else {
        output::line(output::describe(value))
    }
}

/// Prints what was done: the server's answer as data, the sentence for people.
pub(crate) fn done(
    answer: &Value,
    json: bool,
    sentence: impl std::fmt::Display,
) -> Result<(), Failure> {
    if json {
        output::json(answer)
    } else {
        output::line(sentence)
    }
}
