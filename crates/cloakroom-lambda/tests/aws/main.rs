//! The functions over DynamoDB, its stream, and S3, as MiniStack plays them: what they cost, and what they survive.

mod cost;
mod given;
mod meter;
mod pipe;
