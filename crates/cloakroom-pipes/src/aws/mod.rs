//! The ports over AWS: DynamoDB Streams as source, Lambda as target, SQS for dead letters.

mod convert;
mod queue;
mod source;
mod target;

pub use queue::QueueDeadLetters;
pub use source::StreamSource;
pub use target::FunctionTarget;
