//! Every function over the memory adapters, called with events as AWS sends them.

mod given;
mod http;
mod logs;
mod pipes;
mod queues;
mod roles;
mod schedules;
mod uploads;
