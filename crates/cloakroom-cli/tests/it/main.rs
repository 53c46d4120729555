//! The command as its users meet it: real processes, real HTTP, snapshots of what they read.

mod demo;
mod mistakes;
mod operate;
mod serve;
mod support;
mod text;
