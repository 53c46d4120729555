//! The engine's ports on AWS: the ledger in one DynamoDB table, claims in an S3 bucket, sinks, secrets.

pub mod claims;
pub mod client;
mod fault;
pub mod ledger;
pub mod secrets;
pub mod sinks;

pub use claims::{S3Claims, S3Links, S3Options, S3Uploads};
pub use client::{ClientError, ClientOptions, http_client};
pub use ledger::DynamoLedger;
pub use secrets::Secrets;
