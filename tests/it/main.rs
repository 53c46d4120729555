//! The real `cloakroom` binary over real HTTP: what only the whole can show.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test or its helpers must end the test"
)]

mod aws;
mod crash;
mod judges;
mod large;
mod limits;
mod operate;
mod packing;
mod release;
mod restart;
mod schemes;
mod support;
