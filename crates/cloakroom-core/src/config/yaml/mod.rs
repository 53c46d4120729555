//! YAML to typed values, with every place kept.

mod reader;
mod tree;

pub(super) use reader::{ReadError, Reader};
pub(super) use tree::{Node, Places, Value, parse};

/// The path of a key below `parent`.
pub(super) fn child(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// The path `rest` seen from above `parent`.
pub(super) fn join(parent: &str, rest: &str) -> String {
    match rest {
        "" => parent.to_owned(),
        entry if entry.starts_with('[') => format!("{parent}{entry}"),
        key => child(parent, key),
    }
}

/// The path of a list entry below `parent`.
pub(super) fn entry(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}
