//! Claims, sinks and secrets, against servers that speak AWS's protocols.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it, and says where"
)]

mod claims;
mod configuration;
mod events;
mod functions;
mod presigned;
mod queues;
mod refusals;
mod scripted;
mod secrets;
mod support;
mod uploads;
mod urls;
