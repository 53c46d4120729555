//! Cloakroom on AWS, end to end.

mod scenario;
mod stack;
