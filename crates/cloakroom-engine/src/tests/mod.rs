//! The protocol under test: the whole engine on the memory adapters, in simulated time.
//!
//! | file | what |
//! | --- | --- |
//! | `sim`, `faults`, `sink`, `given`, `world` | the harness: time and chance, broken stores and crashes, a scripted consumer, all together |
//! | `arriving` | bodies of any size, in pieces; where they are kept |
//! | `placing`, `ordering` | what becomes of a webhook; in what order events leave |
//! | `checker` | what the ledger and a consumer show in the end |
//! | `releasing` | taking in and releasing in one transaction |
//! | `delivering`, `operating`, `pulling`, `telling` | sending; what operators do; fetching and tailing; state changes |
//! | `inspecting` | what can be seen of all that |
//! | `restarting`, `retaining` | crashes; what is kept and what is removed |
//! | `stepping` | one step at a time; what that costs |
//!
//! All of it at once, by chance, on every form of the engine, is the crate `cloakroom-sim` in `tests/sim`.

mod arriving;
mod checker;
mod delivering;
mod faults;
pub(crate) mod given;
mod inspecting;
mod operating;
mod ordering;
mod placing;
mod pulling;
mod releasing;
mod restarting;
mod retaining;
mod sim;
mod sink;
mod stepping;
mod telling;
mod world;
