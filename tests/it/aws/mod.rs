//! Cloakroom on AWS, end to end.

mod scenario;
mod serve;
mod stack;
