//! Tables of single decisions, and a model of a ledger in which appends, looks and the clock interleave at random.

mod check;
mod dense;
mod model;
mod others;
mod properties;
mod skip;
