//! What Cloakroom reads from strangers, and what must hold for whatever they write.
//!
//! Each module is one target: a function of bytes that panics when a promise is broken. `fuzz/run` says how to run them;
//! `corpus/{target}` holds inputs that are worth starting from, and inputs that once broke something.

pub mod cloudevents;
pub mod config;
pub mod patterns;
pub mod positions;
pub mod records;
pub mod selectors;
pub mod server;
pub mod signatures;

/// The first line of an input and what follows it. Inputs are lines of text as far as possible, so that corpora can be
/// read and written by hand.
fn line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// The first line as text, if it is text.
fn text_line(data: &[u8]) -> Option<(&str, &[u8])> {
    let (first, rest) = line(data);
    Some((std::str::from_utf8(first).ok()?, rest))
}
