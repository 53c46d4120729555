//! From traffic to dollars: quantities of a month, times prices.

use cloakroom_lambda::units::Units;
use serde::Serialize;

use super::assumed;
use super::month::{GB, HOURS, MINUTES, Month};
use super::prices::Prices;
use super::traffic::{Architecture, SinkKind, Traffic};

const MILLION: f64 = 1e6;

/// The largest webhook that the small lane takes: 6 MB in Lambda, where binary bodies are base64.
pub(super) const SMALL_LANE_MAX: f64 = 4.5e6;
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
