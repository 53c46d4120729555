//! What cannot be measured without an account. The documentation of the command says so.

use super::month::MINUTES;

/// Milliseconds of the functions for one webhook: ingest, resequence, dispatch, deliver.
pub(super) const MS: [f64; 4] = [20.0, 15.0, 5.0, 20.0];
/// Memory of a function.
pub(super) const GB: f64 = 0.25;
/// Log lines of one webhook, the access log's among them.
pub(super) const LOGGED: f64 = 500.0;
/// What a sweep takes, in milliseconds.
pub(super) const SWEEP_MS: f64 = 300.0;
/// How often an idle queue is asked by Lambda, in a month: five pollers, each for 20 s.
pub(super) const IDLE_POLLS: f64 = 5.0 * 3.0 * MINUTES;
/// Reads of the ledger to find that a payload is needed, when the daily look for others comes to it.
pub(super) const RECLAIM_READS: f64 = 4.0;
/// Alarms that the Terraform module makes.
pub(super) const ALARMS: f64 = 15.0;
/// Metrics of Cloakroom's own.
pub(super) const METRICS: f64 = 5.0;
/// What an event takes around its payload.
pub(super) const ENVELOPE: f64 = 1_000.0;
/// Write units a second that one partition of the table takes, and so one shard of its stream tells of.
pub(super) const SHARD_WRITES: f64 = 1_000.0;
/// GB that one partition holds.
pub(super) const SHARD_GB: f64 = 10.0;
