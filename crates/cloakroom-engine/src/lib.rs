//! The engine: the ports to the outside, and the workers that carry out what the core decides.
//!
//! The protocol (which conditional writes make up an append, a release, a delivery) lives here, once. Adapters only
//! keep the promises that the ports in [`ports`] write down; [`conformance`] holds them to it.

pub mod catalog;
pub mod conformance;
pub mod memory;
pub mod ports;
pub mod record;
