//! The real `cloakroom` binary over real HTTP: what only the whole can show.

mod crash;
mod judges;
mod large;
mod limits;
mod operate;
mod restart;
mod schemes;
mod support;
