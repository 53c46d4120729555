//! The ledger against servers that speak DynamoDB: MiniStack always, DynamoDB Local when asked for.

mod conformance;
mod faults;
mod given;
mod table;
