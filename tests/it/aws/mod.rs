//! Cloakroom on AWS, end to end.

mod applied;
mod deployed;
mod scenario;
mod serve;
mod stack;
