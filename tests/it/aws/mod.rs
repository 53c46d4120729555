//! Cloakroom on AWS, end to end.

mod operators;
mod scenario;
mod serve;
mod stack;
