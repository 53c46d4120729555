//! Cloakroom over HTTP.

pub mod sink;
