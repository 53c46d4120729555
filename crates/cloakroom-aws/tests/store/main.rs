//! Claims, sinks and secrets, against servers that speak AWS's protocols.

mod claims;
mod support;
mod uploads;
mod urls;
