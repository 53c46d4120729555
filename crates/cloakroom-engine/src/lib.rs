//! The engine: the ports to the outside, and the workers that carry out what the core decides.
//!
//! The protocol (which conditional writes make up an append, a release, a delivery) lives here, once. Adapters only
//! keep the promises that the ports in [`ports`] write down; [`conformance`] holds them to it.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`Engine`], `register`, `workers` | put everything together; check it against what the ledger remembers; keep it at work |
//! | [`intake`], `append`, `known` | take a webhook in; make it one ledger entry; without reading where that is safe |
//! | [`upload`] | bodies that providers put into the store themselves |
//! | `resequencer` | moves heads |
//! | `feed`, `deliverer`, [`pull`], [`tail`] | what is next for a subscription; send it, hand it out, show it |
//! | `sweeper`, `timers`, `doorbell` | find what nobody rang for; ring on time; ring |
//! | `bell`, [`Stepper`] | what is rung as data; one step at a time, for hosts that live for one call |
//! | [`operate`], [`inspect`], [`Counts`] | what operators do and see, and how much wants them |
//! | `state` | state changes as events |

mod append;
mod bell;
pub mod catalog;
pub mod conformance;
mod counts;
mod deliverer;
mod doorbell;
mod engine;
mod feed;
pub mod inspect;
pub mod intake;
mod known;
pub mod memory;
pub mod operate;
mod payload;
pub mod ports;
pub mod pull;
pub mod record;
mod register;
mod resequencer;
mod shared;
mod state;
mod step;
mod sweeper;
pub mod system;
pub mod tail;
#[cfg(test)]
mod tests;
mod timers;
pub mod upload;
mod workers;

pub use append::{Receipt, Status};
pub use bell::{Bell, Due};
pub use counts::{COUNTED_MAX, Counts};
pub use engine::{Engine, Parts};
pub use register::StartError;
pub use shared::{ClaimLinks, Settings, StoreError};
pub use step::{DueCursor, Stepper, Swept};
