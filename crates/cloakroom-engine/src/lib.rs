//! The engine: the ports to the outside, and the workers that carry out what the core decides.
//!
//! The protocol (which conditional writes make up an append, a release, a delivery) lives here, once. Adapters only
//! keep the promises that the ports in [`ports`] write down; [`conformance`] holds them to it.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`intake`], `append` | take a webhook in; make it one ledger entry |
//! | `resequencer` | moves heads |
//! | `feed`, `deliverer`, [`pull`], [`tail`] | what is next for a subscription; send it, hand it out, show it |
//! | `sweeper`, `timers`, `doorbell` | find what nobody rang for; ring on time; ring |
//! | [`operate`], [`inspect`] | what operators do and see |
//! | `state` | state changes as events |

mod append;
pub mod catalog;
pub mod conformance;
mod deliverer;
mod doorbell;
mod engine;
mod feed;
pub mod inspect;
pub mod intake;
pub mod memory;
pub mod operate;
pub mod ports;
pub mod pull;
pub mod record;
mod resequencer;
mod shared;
mod state;
mod sweeper;
pub mod system;
pub mod tail;
mod timers;

pub use append::{Receipt, Status};
pub use engine::{Engine, Parts, StartError};
pub use shared::{ClaimLinks, Settings, StoreError};
