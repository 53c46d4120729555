//! What Terraform deploys, on one machine: applied to MiniStack, its pipes executed by the runner, and between each role
//! and MiniStack a gatekeeper that enforces the role's policies.
//!
//! | file | what |
//! | --- | --- |
//! | `terraform.rs` | runs Terraform on a copy of an example, and reads what it made |
//! | `gates.rs` | a gatekeeper for each role, with the policies that were applied |
//! | `pipes.rs` | runs the pipes as they were applied |
//! | `remains.rs` | what is left after a destroy |
//! | `deployment.rs` | all of it together, and ways to use it |

pub(crate) mod deployment;
pub(crate) mod gates;
pub(crate) mod pipes;
pub(crate) mod remains;
pub(crate) mod terraform;
