//! The adapters: DynamoDB Streams and SQS of MiniStack, and Lambda's answers over HTTP.

mod lambda;
mod streams;
