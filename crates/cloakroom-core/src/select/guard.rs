//! What stands between a stream of any size and the JSON parser, so that the parser's memory stays flat.
//!
//! `serde_json` reads strings, names and numbers into a buffer before anybody may decline them, and notes every open bracket of
//! what it skips. The guard follows the tokens as they pass by, and fails the read where one of these would grow without bound. It also
//! keeps the digits of the last number, which the parser turns into a double.
//!
//! The parser asks for one byte at a time and looks ahead by one, which is what makes the two stay in step.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};

use super::extract::TEXT_MAX_BYTES;

/// The most bytes a string, name or number may take up in the document: every character may be written as `\uXXXX`, and a quote
/// ends it.
const TOKEN_MAX_BYTES: usize = 6 * TEXT_MAX_BYTES + 1;

/// The deepest nesting, skipped parts included.
const DEPTH_MAX: usize = 64 * 1024;

/// What the extraction and its guard tell each other.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The value now being read is skipped: its strings are not kept and may be of any length.
    pub(super) skipping: Cell<bool>,
    /// Nothing more is needed: the stream ends here.
    pub(super) done: Cell<bool>,
    number: RefCell<Vec<u8>>,
}

impl Watch {
    /// The digits of the number last read.
    pub(super) fn last_number(&self) -> String {
        String::from_utf8_lossy(&self.number.borrow()).into_owned()
    }
}

/// Why the guard ended the reading. Travels inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("token too long")]
    TooLong,
    #[error("nested too deeply")]
    TooDeep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Brackets, commas, literals, white space.
    Other,
    Text {
        escaped: bool,
    },
    Number,
}

pub(super) struct Guard<'w, R> {
    inner: R,
    watch: &'w Watch,
    token: Token,
    length: usize,
    depth: usize,
}

impl<'w, R: Read> Guard<'w, R> {
    pub(super) fn new(inner: R, watch: &'w Watch) -> Self {
        Self {
            inner,
            watch,
            token: Token::Other,
            length: 0,
            depth: 0,
        }
    }

    fn see(&mut self, byte: u8) -> Result<(), Refusal> {
        match self.token {
            Token::Text { escaped: true } => self.token = Token::Text { escaped: false },
            Token::Text { escaped: false } => match byte {
                b'"' => self.token = Token::Other,
                b'\\' => self.token = Token::Text { escaped: true },
                _ => {}
            },
            Token::Number if is_number(byte) => self.keep(byte),
            Token::Number | Token::Other => return self.begin(byte),
        }
        self.length += 1;
        if self.length > TOKEN_MAX_BYTES && !self.watch.skipping.get() {
            Err(Refusal::TooLong)
        } else {
            Ok(())
        }
    }

    /// A byte outside of strings and numbers.
    fn begin(&mut self, byte: u8) -> Result<(), Refusal> {
        self.length = 0;
        self.token = Token::Other;
        match byte {
            b'"' => self.token = Token::Text { escaped: false },
            b'-' | b'0'..=b'9' => {
                self.token = Token::Number;
                self.watch.number.borrow_mut().clear();
                self.keep(byte);
            }
            b'[' | b'{' => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(Refusal::TooDeep);
                }
            }
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        if !self.watch.skipping.get() {
            self.watch.number.borrow_mut().push(byte);
        }
    }
}

fn is_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

impl<R: Read> Read for Guard<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.done.get() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        for byte in &buffer[..read] {
            self.see(*byte).map_err(io::Error::other)?;
        }
        Ok(read)
    }
}
