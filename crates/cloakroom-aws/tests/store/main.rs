//! Claims, sinks and secrets, against servers that speak AWS's protocols.

mod claims;
mod events;
mod functions;
mod queues;
mod secrets;
mod support;
mod uploads;
mod urls;
