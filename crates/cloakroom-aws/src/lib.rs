//! The engine's ports on AWS: the ledger in one DynamoDB table, claims in an S3 bucket, sinks, secrets, and
//! the configuration where that is an object.

pub mod claims;
pub mod client;
pub mod configuration;
mod fault;
pub mod ledger;
pub mod secrets;
pub mod sinks;

pub use claims::{S3Claims, S3Links, S3Options, S3Uploads};
pub use client::{ClientError, ClientOptions, http_client};
pub use configuration::ConfigObject;
pub use ledger::DynamoLedger;
pub use secrets::Secrets;
