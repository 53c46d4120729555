//! The functions over DynamoDB, its stream, and S3, as MiniStack plays them: what they cost, and what they survive.

mod chaos;
mod cost;
mod faults;
mod given;
mod meter;
mod pipe;
