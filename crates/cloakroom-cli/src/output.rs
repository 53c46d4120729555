//! What commands print: data on standard output, everything else on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// What is quiet: captions, separators.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What matters.
pub(crate) const BOLD: Style = Style::new().bold();
/// What went well.
pub(crate) const GREEN: Style = color(AnsiColor::Green);
/// What wants attention.
pub(crate) const YELLOW: Style = color(AnsiColor::Yellow);
/// What went wrong.
pub(crate) const RED: Style = color(AnsiColor::Red);
/// Names and numbers to follow by eye.
pub(crate) const CYAN: Style = color(AnsiColor::Cyan);

const fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(color)))
}

/// `text` in `style`.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A line of data.
///
/// # Errors
/// When standard output is gone. A pipe that was closed, as by `head`, ends the command.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot write the output: {error}")))
}

/// A value as JSON, indented for people, on one line for pipes.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = if std::io::stdout().is_terminal() {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    line(text.expect("what is printed is plain data"))
}

/// Something for the person at the terminal.
pub(crate) fn note(text: impl std::fmt::Display) {
    anstream::eprintln!("{text}");
}

/// Something that may not be meant.
pub(crate) fn warning(text: impl std::fmt::Display) {
    anstream::eprintln!("{}: {text}", paint(YELLOW.bold(), "warning"));
}

/// Rows under headings, aligned by spaces so that they are easy to cut.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row.into_iter().map(printable));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for row in table.lines() {
        line(row.trim_end())?;
    }
    Ok(())
}

/// A JSON value as indented `name: value` lines.
pub(crate) fn describe(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out.trim_end().to_owned()
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let width = members.keys().map(String::len).max().unwrap_or(0);
            for (name, member) in members {
                match member {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push_str(&format!("{indent}{name}:\n"));
                        write_value(out, member, depth + 1);
                    }
                    Value::Array(items) if items.iter().any(|item| !is_scalar(item)) => {
                        out.push_str(&format!("{indent}{name}:\n"));
                        write_value(out, member, depth + 1);
                    }
                    _ => {
                        let (label, shown) = (format!("{name}:"), scalar(member));
                        let width = width + 1;
                        out.push_str(&format!("{indent}{label:<width$} {shown}\n"));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                write_value(&mut inner, item, depth + 1);
                let trimmed = inner.trim_start();
                out.push_str(&format!("{indent}- {trimmed}"));
            }
        }
        other => out.push_str(&format!("{indent}{}\n", scalar(other))),
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// A value on one line.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text.clone()),
        Value::Object(members) if members.is_empty() => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(is_scalar) => {
            items.iter().map(scalar).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Text from elsewhere without what could steer a terminal.
pub(crate) fn printable(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| {
                if c.is_control() {
                    c.escape_default().to_string()
                } else {
                    c.to_string()
                }
                .chars()
                .collect::<Vec<_>>()
            })
            .collect()
    } else {
        text
    }
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A span of time for people.
pub(crate) fn span(span: Duration) -> String {
    match span.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// A progress bar on standard error; hidden when nobody watches or when data in JSON was asked for.
pub(crate) fn progress(total: Option<u64>, what: &'static str, hidden: bool) -> ProgressBar {
    if hidden || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match total {
        Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
        None => "{spinner} {msg} {human_pos}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    bar.with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_rounded_to_the_unit_they_are_shown_in() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (999_949, "999.9 KB"),
            (999_999, "1.0 MB"),
            (5_300_000_000, "5.3 GB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn a_value_is_described_line_by_line() {
        let value = json!({"id": "evt_1", "gap": null, "tags": ["a", "b"], "subscriptions": {"billing": "parked"},
            "duplicates": [{"at": "now", "n": 2}], "evil": "a\u{1b}[2Jb"});
        assert_eq!(
            describe(&value),
            "id:            evt_1\ngap:           -\ntags:          a, b\nsubscriptions:\n  billing: parked\nduplicates:\n  \
             - at: now\n    n:  2\nevil:          a\\u{1b}[2Jb"
        );
    }
}
