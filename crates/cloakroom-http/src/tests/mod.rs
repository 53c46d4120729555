//! The server over real loopback sockets, on the engine's in-memory adapters.

mod admin;
mod api;
mod auth;
mod claims;
mod client;
mod connections;
mod harness;
mod ingest;
mod limits;
mod pull;
mod tail;
mod uploads;
