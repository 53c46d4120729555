//! Cloakroom on AWS, end to end.

mod applied;
mod definitions;
mod deployed;
mod operators;
mod permitted;
mod scenario;
mod serve;
mod stack;
