//! The Lambda functions: one handler for each role, over the engine's steps.
//!
//! A handler takes the event of its trigger as JSON and answers what the trigger expects. It knows no AWS client: the
//! ledger and the claim store are behind the engine's ports, queues behind [`Queue`]. So the handlers run in a Lambda, in
//! a server that runs the pipes itself, and in tests.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`ingest`] | HTTP requests of API Gateway, function URLs and load balancers: the routes of `cloakroom-http` |
//! | [`resequence()`], [`dispatch()`] | targets of the two pipes: entries move heads, heads ring subscriptions |
//! | [`deliver()`] | the doorbell queue: one delivery at a time for each subscription and stream |
//! | [`sweep`] | schedules and the timers queue: what is due, and what nobody rang for |
//! | [`upload`] | notifications of S3: what providers put into the bucket becomes events |
//! | [`Rings`], [`Queues`], [`Queue`], [`Doorbell`] | bells as messages |
//! | [`gauges`] | what wants an operator's attention, as CloudWatch metrics |
//! | [`Vault`] | secrets, read again while the host runs |
//! | [`Role`], [`Variable`] | what a function is, and everything that it needs |
//! | [`Environment`], [`start`] | what a function is told, and putting it together |

mod answer;
mod changes;
mod deliver;
mod dispatch;
mod environment;
pub mod gauges;
mod host;
pub mod ingest;
mod message;
mod queue;
mod resequence;
mod rings;
mod role;
pub mod start;
pub mod sweep;
#[cfg(test)]
mod tests;
pub mod upload;
mod vault;

pub use answer::{BatchAnswer, HandlerError};
pub use deliver::deliver;
pub use dispatch::dispatch;
pub use environment::{Environment, EnvironmentError};
pub use host::{Host, Tell};
pub use message::Doorbell;
pub use queue::{Message, Queue, SendError, SqsQueue};
pub use resequence::resequence;
pub use rings::{Queues, Rings};
pub use role::{Need, Role, Variable};
pub use vault::Vault;
