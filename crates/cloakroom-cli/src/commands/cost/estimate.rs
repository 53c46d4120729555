//! From traffic to dollars: quantities from what was measured, times prices.

use cloakroom_lambda::units::{Requests, Units};
use serde::Serialize;

use super::prices::Prices;
use super::traffic::{Architecture, Ordering, SinkKind, Traffic};

const HOURS: f64 = 730.0;
const MINUTES: f64 = HOURS * 60.0;
const GB: f64 = 1e9;
const MILLION: f64 = 1e6;

/// What cannot be measured without an account. The documentation of the command says so.
mod assumed {
    /// Milliseconds of the functions for one webhook: ingest, resequence, dispatch, deliver.
    pub(super) const MS: [f64; 4] = [20.0, 15.0, 5.0, 20.0];
    /// Memory of a function.
    pub(super) const GB: f64 = 0.25;
    /// Log lines of one webhook, the access log's among them.
    pub(super) const LOGGED: f64 = 500.0;
    /// What a sweep takes, in milliseconds.
    pub(super) const SWEEP_MS: f64 = 300.0;
    /// How often an idle queue is asked by Lambda, in a month: five pollers, each for 20 s.
    pub(super) const IDLE_POLLS: f64 = 5.0 * 3.0 * super::MINUTES;
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
}

/// The largest webhook that the small lane takes: 6 MB in Lambda, where binary bodies are base64.
pub(super) const SMALL_LANE_MAX: f64 = 4.5e6;
/// Larger objects are put in parts of this size.
const PART: f64 = 5.0 * 1024.0 * 1024.0;

/// How Cloakroom is put up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    /// API Gateway and functions.
    SmallLane,
    /// A load balancer and containers take webhooks in, functions do the rest.
    LargeLane,
    /// A container does everything: `serve --backend aws --run-pipes`.
    Container,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::SmallLane, Self::LargeLane, Self::Container];
}

/// A line of the estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) service: &'static str,
    pub(super) item: &'static str,
    /// In a month.
    pub(super) quantity: f64,
    /// USD a month.
    pub(super) usd: f64,
    #[serde(skip)]
    forms: &'static [Form],
}

impl Line {
    /// What it costs in this form.
    pub(super) fn in_form(&self, form: Form) -> f64 {
        if self.forms.contains(&form) {
            self.usd
        } else {
            0.0
        }
    }
}

/// Everything that costs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Estimate {
    pub(super) lines: Vec<Line>,
}

const EVERY: &[Form] = &Form::ALL;
const SMALL: &[Form] = &[Form::SmallLane];
const LANES: &[Form] = &[Form::SmallLane, Form::LargeLane];
const CONTAINERS: &[Form] = &[Form::LargeLane, Form::Container];

impl Estimate {
    pub(super) fn of(traffic: &Traffic, prices: &Prices, units: &Units) -> Self {
        let month = Month::of(traffic, units);
        let mut estimate = Self { lines: Vec::new() };
        estimate.taking_in(traffic, prices, &month);
        estimate.ledger_and_claims(traffic, prices, &month);
        estimate.moving(traffic, prices, &month);
        estimate.sinks(traffic, prices);
        estimate.standing(traffic, prices, &month);
        estimate.lines.retain(|line| line.usd > 0.0);
        estimate
    }

    pub(super) fn total(&self, form: Form) -> f64 {
        self.lines.iter().map(|line| line.in_form(form)).sum()
    }

    fn add(
        &mut self,
        forms: &'static [Form],
        service: &'static str,
        item: &'static str,
        quantity: f64,
        price: f64,
    ) {
        self.lines.push(Line {
            service,
            item,
            quantity,
            usd: quantity * price,
            forms,
        });
    }

    fn taking_in(&mut self, traffic: &Traffic, prices: &Prices, month: &Month) {
        let metered = |bytes: f64| (bytes / prices.http_api_request_bytes).ceil().max(1.0);
        let requests = month.received * traffic.sizes.mean(metered);
        let price = prices.http_api_million / MILLION;
        self.add(
            SMALL,
            "API Gateway",
            "requests of up to 512 KB",
            requests,
            price,
        );
        let name = "requests: ingest";
        self.add(
            SMALL,
            "Lambda",
            name,
            month.received,
            prices.lambda_million / MILLION,
        );
        let seconds = month.received * assumed::MS[0] / 1_000.0 * assumed::GB;
        self.add(
            SMALL,
            "Lambda",
            "GB-seconds: ingest",
            seconds,
            gb_second(traffic, prices),
        );

        self.add(CONTAINERS, "Load balancer", "hours", HOURS, prices.alb_hour);
        let connections = month.received / (HOURS * 3_600.0) / 25.0;
        let gb = month.received * traffic.sizes.mean(|bytes| bytes) / GB / HOURS;
        let capacity = connections.max(gb) * HOURS;
        self.add(
            CONTAINERS,
            "Load balancer",
            "capacity unit hours",
            capacity,
            prices.alb_lcu_hour,
        );
        let (vcpu, gb) = match traffic.architecture {
            Architecture::Arm64 => (prices.fargate_vcpu_hour_arm64, prices.fargate_gb_hour_arm64),
            Architecture::X86_64 => (
                prices.fargate_vcpu_hour_x86_64,
                prices.fargate_gb_hour_x86_64,
            ),
        };
        let hours = traffic.tasks * HOURS;
        self.add(
            CONTAINERS,
            "Fargate",
            "vCPU hours",
            hours * traffic.task_vcpu,
            vcpu,
        );
        self.add(
            CONTAINERS,
            "Fargate",
            "GB hours",
            hours * traffic.task_gb,
            gb,
        );
        let addresses = (2.0 + traffic.tasks) * HOURS;
        self.add(
            CONTAINERS,
            "VPC",
            "public IPv4 hours",
            addresses,
            prices.public_ipv4_hour,
        );
    }

    fn ledger_and_claims(&mut self, traffic: &Traffic, prices: &Prices, month: &Month) {
        let (write, read) = (prices.dynamodb_write_million, prices.dynamodb_read_million);
        let (writes, reads) = (month.writes, month.reads);
        self.add(
            EVERY,
            "DynamoDB",
            "write units: events",
            writes,
            write / MILLION,
        );
        self.add(
            EVERY,
            "DynamoDB",
            "read units: events",
            reads,
            read / MILLION,
        );
        let expiry = "write units: retention";
        self.add(
            EVERY,
            "DynamoDB",
            expiry,
            month.expiry_writes,
            write / MILLION,
        );
        let expiry = "read units: retention";
        self.add(
            EVERY,
            "DynamoDB",
            expiry,
            month.expiry_reads,
            read / MILLION,
        );
        self.add(
            EVERY,
            "DynamoDB",
            "read units: sweep",
            month.sweep_reads,
            read / MILLION,
        );
        let gb = month.ledger_gb;
        self.add(EVERY, "DynamoDB", "GB stored", gb, prices.dynamodb_gb_month);
        self.add(
            EVERY,
            "DynamoDB",
            "GB for recovery",
            gb,
            prices.dynamodb_backup_gb_month,
        );
        let polls = 2.0 * 4.0 * 3_600.0 * HOURS * month.shards - prices.streams_free_reads;
        let price = prices.streams_read_million / MILLION;
        self.add(EVERY, "DynamoDB", "reads of the stream", polls, price);

        self.add(
            EVERY,
            "S3",
            "PUT",
            month.puts,
            prices.s3_put_million / MILLION,
        );
        self.add(
            EVERY,
            "S3",
            "HEAD and GET",
            month.gets,
            prices.s3_get_million / MILLION,
        );
        let months = traffic.retention.as_secs_f64() / (HOURS * 3_600.0);
        let stored = |bytes: f64| {
            if bytes > traffic.ledger_only_max {
                bytes
            } else {
                0.0
            }
        };
        let gb = traffic.events * traffic.sizes.mean(stored) * months / GB;
        self.add(EVERY, "S3", "GB stored", gb, prices.s3_gb_month);
    }

    fn moving(&mut self, traffic: &Traffic, prices: &Prices, month: &Month) {
        let pipes = month.entries + month.moves;
        self.add(
            LANES,
            "Pipes",
            "records",
            pipes,
            prices.pipes_million / MILLION,
        );
        let requests = 2.0 * month.moves + month.doorbells + MINUTES;
        let name = "requests: the other functions";
        self.add(
            LANES,
            "Lambda",
            name,
            requests,
            prices.lambda_million / MILLION,
        );
        let [_, resequence, dispatch, deliver] = assumed::MS;
        let ms = month.moves * (resequence + dispatch) + month.doorbells * deliver;
        let seconds = (ms + MINUTES * assumed::SWEEP_MS) / 1_000.0 * assumed::GB;
        self.add(
            LANES,
            "Lambda",
            "GB-seconds: the other functions",
            seconds,
            gb_second(traffic, prices),
        );
        let doorbells = 3.0 * month.doorbells + assumed::IDLE_POLLS;
        let price = prices.sqs_fifo_million / MILLION;
        self.add(
            LANES,
            "SQS",
            "doorbells: send, receive, delete",
            doorbells,
            price,
        );
        let timers = 2.0 * assumed::IDLE_POLLS;
        let price = prices.sqs_million / MILLION;
        self.add(
            LANES,
            "SQS",
            "timers and dead letters: receive",
            timers,
            price,
        );
    }

    fn sinks(&mut self, traffic: &Traffic, prices: &Prices) {
        let size = |bytes: f64| assumed::ENVELOPE + traffic.in_entry(bytes);
        let messages = |bytes: f64| (size(bytes) / prices.message_bytes).ceil();
        let count = |kind| traffic.sinks.iter().filter(|sink| **sink == kind).count() as f64;
        let gb = traffic.events * traffic.sizes.mean(size) / GB;
        let pieces = traffic.events * traffic.sizes.mean(messages);
        let of = |kind, quantity: f64| count(kind) * quantity;
        let fifo = of(SinkKind::SqsFifo, pieces);
        self.add(
            EVERY,
            "SQS",
            "messages to consumers",
            fifo,
            prices.sqs_fifo_million / MILLION,
        );
        let published = of(SinkKind::Sns, traffic.events);
        let price = prices.sns_fifo_publish_million / MILLION;
        self.add(EVERY, "SNS", "messages to a FIFO topic", published, price);
        let published = of(SinkKind::Sns, gb);
        self.add(
            EVERY,
            "SNS",
            "GB to a FIFO topic",
            published,
            prices.sns_fifo_publish_gb,
        );
        let events = of(SinkKind::Eventbridge, pieces);
        let price = prices.eventbridge_million / MILLION;
        self.add(EVERY, "EventBridge", "events to a bus", events, price);
        let calls = of(SinkKind::Lambda, traffic.events);
        let price = prices.lambda_million / MILLION;
        self.add(EVERY, "Lambda", "requests: consumers", calls, price);
        let out = of(SinkKind::Http, gb);
        self.add(
            EVERY,
            "Internet",
            "GB to HTTP consumers",
            out,
            prices.internet_gb,
        );
    }

    fn standing(&mut self, traffic: &Traffic, prices: &Prices, month: &Month) {
        let logged = month.received * assumed::LOGGED / GB;
        self.add(EVERY, "CloudWatch", "GB logged", logged, prices.logs_gb);
        self.add(
            EVERY,
            "CloudWatch",
            "metrics",
            assumed::METRICS,
            prices.metric_month,
        );
        self.add(
            EVERY,
            "CloudWatch",
            "alarms",
            assumed::ALARMS,
            prices.alarm_month,
        );
        self.add(
            EVERY,
            "CloudWatch",
            "dashboards",
            1.0,
            prices.dashboard_month,
        );
        self.add(
            EVERY,
            "Secrets Manager",
            "secrets",
            traffic.secrets,
            prices.secret_month,
        );
    }
}

fn gb_second(traffic: &Traffic, prices: &Prices) -> f64 {
    match traffic.architecture {
        Architecture::Arm64 => prices.lambda_gb_second_arm64,
        Architecture::X86_64 => prices.lambda_gb_second_x86_64,
    }
}

/// Quantities of a month.
struct Month {
    /// New webhooks and duplicates.
    received: f64,
    entries: f64,
    /// Moves of heads, and so calls of a pipe's target.
    moves: f64,
    doorbells: f64,
    writes: f64,
    reads: f64,
    expiry_writes: f64,
    expiry_reads: f64,
    sweep_reads: f64,
    ledger_gb: f64,
    shards: f64,
    puts: f64,
    gets: f64,
}

impl Month {
    fn of(traffic: &Traffic, units: &Units) -> Self {
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

/// At how many webhooks a month one form becomes cheaper than the other; `None` when that never happens.
pub(super) fn break_even(
    traffic: &Traffic,
    prices: &Prices,
    units: &Units,
    (cheap_at_first, cheap_later): (Form, Form),
) -> Option<f64> {
    let is_past = |events: f64| {
        let at = Traffic {
            events,
            ..traffic.clone()
        };
        let estimate = Estimate::of(&at, prices, units);
        estimate.total(cheap_later) < estimate.total(cheap_at_first)
    };
    let (mut below, mut above) = (1.0_f64, 1e12_f64);
    if is_past(below) || !is_past(above) {
        return None;
    }
    while above / below > 1.001 {
        let middle = (below * above).sqrt();
        if is_past(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    Some(above)
}
