//! Every function over the memory adapters, called with events as AWS sends them.

mod given;
mod hostile;
mod http;
mod pipes;
mod queues;
mod schedules;
mod uploads;
