//! Claims, sinks and secrets, against servers that speak AWS's protocols.

mod claims;
mod events;
mod functions;
mod queues;
mod refusals;
mod scripted;
mod secrets;
mod support;
mod uploads;
mod urls;
