//! Quantities of a month: what was measured of one webhook, times the traffic.

use cloakroom_lambda::units::{Requests, Units};

use super::assumed;
use super::traffic::{Ordering, Traffic};

pub(super) const HOURS: f64 = 730.0;
pub(super) const MINUTES: f64 = HOURS * 60.0;
pub(super) const GB: f64 = 1e9;
/// Larger objects are put in parts of this size.
const PART: f64 = 5.0 * 1024.0 * 1024.0;

/// Quantities of a month.
pub(super) struct Month {
    /// New webhooks and duplicates.
    pub(super) received: f64,
    pub(super) entries: f64,
    /// Moves of heads, and so calls of a pipe's target.
    pub(super) moves: f64,
    pub(super) doorbells: f64,
    pub(super) writes: f64,
    pub(super) reads: f64,
    pub(super) expiry_writes: f64,
    pub(super) expiry_reads: f64,
    pub(super) sweep_reads: f64,
    pub(super) ledger_gb: f64,
    pub(super) shards: f64,
    pub(super) puts: f64,
    pub(super) gets: f64,
}

impl Month {
    pub(super) fn of(traffic: &Traffic, units: &Units) -> Self {
        let n = traffic.events;
        let subscriptions = traffic.sinks.len().max(1) as f64;
        let each = Each::of(traffic, units);
        let duplicate = units.of(match traffic.ordering {
            Ordering::Dense => "duplicate",
            Ordering::Arrival => "duplicate-arrival",
        });
        let received = n * (1.0 + traffic.duplicates);
        // What waits for another leaves together with it, so it costs no move of its own.
        let moves = n * (1.0 - traffic.out_of_order / 2.0) / traffic.together;

        let entry = |bytes: f64| units.entry_overhead_bytes as f64 + traffic.in_entry(bytes);
        let known = (units.entry_overhead_bytes + units.payload_bytes) as f64;
        let more = |per: f64| {
            let of = |bytes: f64| (bytes / per).ceil();
            traffic.sizes.mean(|bytes| of(entry(bytes)) - of(known))
        };
        let (kilobytes, pages) = (more(1024.0), more(4096.0));
        let doubled = if traffic.ordering == Ordering::Arrival {
            2.0
        } else {
            1.0
        };
        let writes =
            n * (each.writes + doubled * kilobytes) + n * traffic.duplicates * duplicate.writes;
        let reads = n * (each.reads + (1.0 + subscriptions) * pages)
            + n * traffic.duplicates * duplicate.reads;

        let (visit, idle) = (units.of("visit"), units.of("sweep-of-nothing"));
        let expires = units.of(match traffic.ordering {
            Ordering::Dense => "expires",
            Ordering::Arrival => "expires-arrival",
        });
        let is_object = |bytes: f64| f64::from(bytes > traffic.ledger_only_max);
        let parts = |bytes: f64| {
            is_object(bytes)
                * if bytes > PART {
                    (bytes / PART).ceil() + 2.0
                } else {
                    1.0
                }
        };
        let objects = traffic.sizes.mean(is_object);
        let fetched = |bytes: f64| f64::from(traffic.in_entry(bytes) < bytes) * subscriptions;
        let months = traffic.retention.as_secs_f64() / (HOURS * 3_600.0);
        let ledger_gb = n * traffic.sizes.mean(entry) * months / GB;
        let streams = (n / traffic.events_per_key).min(100.0);
        Self {
            received,
            entries: n,
            moves,
            doorbells: moves * subscriptions,
            writes,
            reads,
            expiry_writes: n * (expires.writes - visit.writes + doubled * kilobytes),
            expiry_reads: n
                * (expires.reads - visit.reads + pages + objects * assumed::RECLAIM_READS),
            sweep_reads: MINUTES * (idle.reads + streams * (visit.reads - idle.reads)),
            ledger_gb,
            shards: (writes / (HOURS * 3_600.0) / assumed::SHARD_WRITES)
                .ceil()
                .max((ledger_gb / assumed::SHARD_GB).ceil())
                .max(1.0),
            puts: received * traffic.sizes.mean(parts),
            // A duplicate is looked at, an object is labelled: once by the look for unneeded ones, once when it expires.
            gets: n * (objects * (2.0 + traffic.duplicates) + traffic.sizes.mean(fetched)),
        }
    }
}

/// The units of one new webhook of the measured size, on average.
struct Each {
    writes: f64,
    reads: f64,
}

impl Each {
    fn of(traffic: &Traffic, units: &Units) -> Self {
        Self {
            writes: each(traffic, units, |requests| requests.writes),
            reads: each(traffic, units, |requests| requests.reads),
        }
    }
}

fn each(traffic: &Traffic, units: &Units, take: impl Fn(&Requests) -> f64) -> f64 {
    let of = |situation| take(units.of(situation));
    let alone = of("in-order");
    // Ten together cost ten times the event and once the head and the cursor.
    let event = (of("ten-of-one-key") - alone) / 9.0;
    let shared = alone - event;
    let another = of("in-order-two-subscriptions") - alone;
    let first = (of("first-of-its-key") - alone) / traffic.events_per_key;
    let subscriptions = traffic.sinks.len().max(1) as f64 - 1.0;
    let in_order = match traffic.ordering {
        Ordering::Dense => event + shared / traffic.together,
        Ordering::Arrival => of("arrival") - alone + event + shared / traffic.together,
    };
    // One that comes early and the one that it waits for, less the latter where it would have been in order.
    let early = of("opens-a-gap") + of("closes-a-gap") - alone;
    let share = match traffic.ordering {
        Ordering::Dense => traffic.out_of_order,
        Ordering::Arrival => 0.0,
    };
    (1.0 - share) * in_order + share * early + subscriptions * another / traffic.together + first
}
