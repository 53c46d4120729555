//! The functions over DynamoDB, its stream, and S3, as MiniStack plays them: what they cost, and what they survive.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it, and says where"
)]

mod chaos;
mod cost;
mod faults;
mod given;
mod meter;
mod pipe;
mod rotation;
