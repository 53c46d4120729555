//! The whole engine over simulated stores, network, time and chance, and a checker that reads the complete history.
//!
//! One seed is one world: an embedded server, servers that share a ledger, or functions with their pipes, queue and
//! schedule, with providers, consumers and operators around them. Whatever happens in it follows from the seed; time is
//! the runtime's paused clock, and everything runs on one thread. A failing seed prints how to replay it.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`run`] | what happens in a run, how it heals, what must be true in time |
//! | [`world`], [`plan`] | what there is; what is configured, and how that changes |
//! | [`life`], [`stores`] | processes that die between any two effects; stores that fail, are slow, or lose their answers |
//! | [`functions`] | pipes, queue, timers and schedule: all that rings doorbells, and loses them |
//! | [`provider`], [`network`], [`uploads`], [`consumer`], [`operators`] | everybody outside |
//! | [`trace`], [`check`], [`logs`], [`panics`] | the history, who judges it, what must not be logged, and panics |

pub mod chance;
pub mod check;
pub mod consumer;
pub mod functions;
pub mod life;
pub mod logs;
pub mod network;
pub mod operators;
pub mod panics;
pub mod plan;
pub mod provider;
pub mod run;
pub mod stores;
pub mod time;
pub mod trace;
pub mod uploads;
pub mod world;
