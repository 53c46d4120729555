//! Those who mean no good: what they send, how they send it, and what they ask for.

mod bombs;
mod claims;
mod framing;
mod keys;
mod slow;
mod wire;

/// A source that takes anything from anybody, as one stream.
const OPEN: &str = "sources: { open: { verify: { scheme: none } } }\n";
