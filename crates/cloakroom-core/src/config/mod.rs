//! The configuration file, `cloakroom.yaml`: its types, its defaults and its mistakes.
//!
//! [`Config::parse`] reads a file in three steps: YAML becomes a tree that remembers where everything stands, the tree
//! becomes typed values, and the rules that span several keys are checked. Whatever goes wrong is a [`Diagnostic`] with
//! a line and a remedy. The doc comments and defaults of the types feed the JSON Schema ([`Config::schema`]) and
//! `config explain` ([`Config::explain`]); they are written nowhere else.
//!
//! Terraform reads the same file, so what its YAML reader takes differently is refused.

mod check;
mod claims;
mod diagnostic;
mod document;
mod explain;
mod order;
mod schema;
mod server;
mod sink;
mod source;
mod subscription;
mod url;
mod warn;
mod yaml;

#[cfg(test)]
mod tests;

pub use claims::{Claims, Store};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use document::{Config, Overrides};
pub use explain::Explanation;
pub use order::{First, Gap, GapPolicy, Late, Order, OrderKind};
pub use server::{InFlight, ListenAddr, Server};
pub use sink::{
    EventbridgeSink, FileSink, HeaderText, HttpMode, HttpSink, LambdaSink, PullSink, Sink, SnsSink,
    SqsFifoSink, StdoutSink, StepFunctionsSink,
};
pub use source::{Ack, Source};
pub use subscription::{Exhausted, From, Retry, SourceRef, Subscription};
pub use url::HttpUrl;

pub use crate::id::STATE_SOURCE;
