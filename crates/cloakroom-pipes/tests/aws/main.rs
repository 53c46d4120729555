//! The adapters: DynamoDB Streams and SQS of MiniStack, and Lambda's answers over HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a test or its helpers must end the test"
)]

mod lambda;
mod streams;
