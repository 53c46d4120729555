//! Cloakroom over HTTP.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`serve`], [`App`], [`Options`] | the server: connections, routes, shutdown |
//! | `ingest`, `body`, `finish` | `POST /in/{source}`: bodies bounded in time, receipts |
//! | `uploads` | `POST /in/{source}/uploads`: where a provider may put a body itself |
//! | [`ClaimUrls`], `range` | `/v1/claims/{id}`: signed, expiring URLs and what they lead to |
//! | `api` | everything else under `/v1` |
//! | [`sink`] | deliveries to consumers |
//! | [`configured`] | from a configuration to sinks, options and secrets |
//! | `auth`, `extract`, `problem`, `view` | who may; what was asked; what went wrong; how things look in JSON |

mod api;
mod app;
mod auth;
mod body;
mod claims;
pub mod configured;
mod extract;
mod finish;
mod ingest;
mod problem;
mod range;
mod serve;
pub mod sink;
mod uploads;
mod view;

pub use app::{App, Options};
pub use claims::ClaimUrls;
pub use serve::serve;

#[cfg(test)]
mod tests;
