//! The runner against simulated streams: several shards, splits, faults, restarts; and the filters against AWS's examples.

mod filtering;
mod running;
mod sharding;
mod stream;
mod surviving;
mod world;
