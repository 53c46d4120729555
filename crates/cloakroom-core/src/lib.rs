//! Cloakroom's decisions, and nothing else.
//!
//! Everything here is a function of its arguments: no I/O, no clock, no randomness. The engine loads facts,
//! asks this crate what follows from them, and carries out the answer.

pub mod cloudevent;
pub mod config;
pub mod event;
pub mod head;
pub mod id;
pub mod ordering;
pub mod outbound;
pub mod pattern;
pub mod position;
pub mod resequence;
pub mod retry;
pub mod secret;
pub mod select;
pub mod time;
pub mod verify;
