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
mod secret_ref;
mod selector;
mod server;
mod sink;
mod source;
mod subscription;
mod text;
mod units;
mod url;
mod verify;
mod warn;
mod yaml;

#[cfg(test)]
mod tests;

pub use claims::{Claims, Store};
pub use diagnostic::{Diagnostic, Diagnostics, Mistake};
pub use document::{Config, Overrides};
pub use explain::Explanation;
pub use order::{First, Gap, GapPolicy, Late, Order, OrderKind};
pub use secret_ref::SecretRef;
pub use selector::Selector;
pub use server::{InFlight, ListenAddr, Server};
pub use sink::{
    EventbridgeSink, FileSink, HeaderText, HttpMode, HttpSink, LambdaSink, PullSink, Sink, SnsSink,
    SqsFifoSink, StdoutSink, StepFunctionsSink,
};
pub use source::{Ack, Source};
pub use subscription::{Exhausted, Filter, From, Retry, SourceRef, Subscription};
pub use units::{Bytes, DurationText, Rate};
pub use url::HttpUrl;
pub use verify::{Algorithm, Encoding, SchemeName, Verify};

/// The source of Cloakroom's own state-change events. Subscriptions may name it; `"*"` leaves it out.
pub const STATE_SOURCE: &str = "cloakroom";
