//! The command as its users meet it: real processes, real HTTP, snapshots of what they read.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot go on without fails it, and says where"
)]

mod demo;
mod examples;
mod mistakes;
mod operate;
mod serve;
mod support;
mod text;
