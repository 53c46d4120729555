//! The engine's ports on AWS: the ledger in one DynamoDB table, claims in an S3 bucket, sinks, secrets.

pub mod claims;
mod fault;
pub mod sinks;
