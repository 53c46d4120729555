//! Why a definition was refused, and where.

use std::fmt::Write as _;

use serde_path_to_error::Segment;

/// Why a definition was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}: {problem}", if pointer.is_empty() { "the document" } else { pointer })]
pub struct DefinitionError {
    /// The file, as the caller named it.
    pub file: String,
    /// The place in it: a JSON Pointer, empty for the whole document.
    pub pointer: String,
    /// What is wrong there, and the remedy.
    pub problem: String,
}

impl DefinitionError {
    pub(super) fn new(file: &str, pointer: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            pointer: pointer.into(),
            problem: problem.into(),
        }
    }

    pub(super) fn unreadable(
        file: &str,
        error: serde_path_to_error::Error<serde_json::Error>,
    ) -> Self {
        let pointer = error
            .path()
            .iter()
            .fold(String::new(), |mut pointer, step| {
                let written = match step {
                    Segment::Seq { index } => write!(pointer, "/{index}"),
                    Segment::Map { key } | Segment::Enum { variant: key } => {
                        write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"))
                    }
                    Segment::Unknown => Ok(()),
                };
                written.expect("writing to a string does not fail");
                pointer
            });
        Self::new(file, pointer, error.into_inner().to_string())
    }
}
