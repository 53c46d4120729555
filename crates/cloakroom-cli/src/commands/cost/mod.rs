//! `cost`: what Cloakroom costs on AWS, before anything is put up.

mod assumed;
mod estimate;
mod month;
mod prices;
#[cfg(test)]
mod tests;
mod traffic;

use std::path::PathBuf;
use std::time::Duration;

use cloakroom_core::config::Config;
use cloakroom_core::units::{Bytes, DurationText};
use cloakroom_lambda::units::Units;
use serde_json::json;

use estimate::{Estimate, Form, SMALL_LANE_MAX, break_even};
use prices::Prices;
use traffic::{Architecture, Count, Ordering, Share, SinkKind, Sizes, Traffic};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, BOLD, paint};
use crate::wiring;

/// Estimates a month on AWS, service by service.
///
/// How many requests and units a webhook takes was measured; how long the functions run and how much they log is assumed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// New webhooks in a month, e.g. `250k` or `2.5M`.
    #[arg(long, default_value = "1M", value_name = "COUNT")]
    events: Count,
    /// Sizes of the webhooks and their shares, e.g. `2KB` or `1KB:90%,64KB:9%,20MB:1%`.
    #[arg(long, default_value = "1KiB", value_name = "SIZES")]
    size: Sizes,
    /// The share of webhooks that come before one that precedes them.
    #[arg(long, default_value = "1%", value_name = "SHARE")]
    out_of_order: Share,
    /// How many the provider sends again, as a share of the webhooks.
    #[arg(long, default_value = "1%", value_name = "SHARE")]
    duplicates: Share,
    /// Webhooks of one key over its whole life.
    #[arg(long, default_value = "10", value_name = "COUNT")]
    events_per_key: Count,
    /// How many webhooks of one key come at about the same time, so that they are moved on together.
    #[arg(long, default_value = "1", value_name = "COUNT")]
    together: Count,
    /// How the sources order.
    #[arg(long, value_enum, default_value = "dense")]
    order: Ordering,
    /// A subscription's sink; once for each subscription.
    #[arg(
        long = "sink",
        value_enum,
        default_value = "sqs-fifo",
        value_name = "SINK"
    )]
    sinks: Vec<SinkKind>,
    /// Keep payloads up to this size in the ledger only (`claims.store: { above: SIZE }`).
    #[arg(long, value_name = "SIZE")]
    above: Option<Bytes>,
    /// Payloads up to this size travel inside their events (`claims.inline_max`).
    #[arg(long, default_value = "16KiB", value_name = "SIZE")]
    inline_max: Bytes,
    /// How long payloads and entries are kept (`claims.retention`).
    #[arg(long, default_value = "30d", value_name = "TIME")]
    retention: DurationText,
    /// Take subscriptions, claims and secrets from a configuration instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sinks", "above", "inline_max", "retention"])]
    config: Option<PathBuf>,
    /// What functions and containers run on.
    #[arg(long, value_enum, default_value = "arm64")]
    architecture: Architecture,
    /// Containers, where containers take webhooks in.
    #[arg(long, default_value = "2", value_name = "COUNT")]
    tasks: Count,
    /// vCPUs of a container.
    #[arg(long, default_value = "0.5", value_name = "COUNT")]
    task_vcpu: Count,
    /// Memory of a container in GB.
    #[arg(long, default_value = "1", value_name = "COUNT")]
    task_gb: Count,
    /// Prices from a file, in the form of the one in the sources, instead of those that come with this version.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
}

impl Args {
    fn traffic(&self) -> Result<Traffic, Failure> {
        let mut traffic = Traffic {
            events: self.events.0,
            sizes: self.size.clone(),
            out_of_order: self.out_of_order.0,
            duplicates: self.duplicates.0,
            events_per_key: self.events_per_key.0.max(1.0),
            together: self.together.0.max(1.0),
            ordering: self.order,
            sinks: self.sinks.clone(),
            ledger_only_max: self.above.map_or(0.0, |above| above.get() as f64),
            inline_max: self.inline_max.get() as f64,
            retention: self.retention.get().max(Duration::from_secs(1)),
            secrets: 2.0,
            architecture: self.architecture,
            tasks: self.tasks.0,
            task_vcpu: self.task_vcpu.0,
            task_gb: self.task_gb.0,
        };
        if let Some(file) = &self.config {
            let text = wiring::read_config(file)?;
            let config = Config::parse(&text).map_err(|mistakes| {
                let file = file.display();
                Failure::new(Exit::Config, format!("{file}: {mistakes}")).hint(format!(
                    "see all of it with `cloakroom config check {file}`"
                ))
            })?;
            traffic.configure(&config);
        }
        Ok(traffic)
    }

    fn prices(&self) -> Result<Prices, Failure> {
        let Some(file) = &self.prices else {
            return Ok(Prices::known());
        };
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::new(Exit::Failure, named(&error)))?;
        Prices::parse(&text).map_err(|error| Failure::new(Exit::Failure, named(&error)))
    }
}

/// A break-even: a name for what becomes cheaper, what for, and from how many webhooks a month on.
type BreakEven = (&'static str, &'static str, Option<f64>);

pub(crate) fn run(args: &Args, json: bool) -> Outcome {
    let (traffic, prices, units) = (args.traffic()?, args.prices()?, Units::measured());
    let estimate = Estimate::of(&traffic, &prices, &units);
    let even = |forms| break_even(&traffic, &prices, &units, forms);
    let evens: [BreakEven; 2] = [
        (
            "the large lane",
            "the small lane",
            even((Form::SmallLane, Form::LargeLane)),
        ),
        (
            "a container alone",
            "the small lane",
            even((Form::SmallLane, Form::Container)),
        ),
    ];
    if json {
        print_json(&traffic, &prices, &estimate, &evens)?;
    } else {
        print(&traffic, &prices, &estimate, &evens)?;
    }
    Ok(Exit::Ok)
}

fn print_json(
    traffic: &Traffic,
    prices: &Prices,
    estimate: &Estimate,
    evens: &[BreakEven],
) -> Result<(), Failure> {
    let totals = Form::ALL.map(|form| {
        let month = estimate.total(form);
        json!({ "form": form, "month": month, "million": month / traffic.events * 1e6 })
    });
    let lines = estimate.lines.iter().map(|line| {
        let [small, large, container] = Form::ALL.map(|form| line.in_form(form));
        json!({
            "service": line.service, "item": line.item, "quantity": line.quantity,
            "small_lane": small, "large_lane": large, "container": container,
        })
    });
    let evens = evens
        .iter()
        .map(|(later, first, at)| json!({ "cheaper": later, "than": first, "from_events": at }));
    output::json(&json!({
        "region": prices.region, "prices_of": prices.date, "currency": "USD", "events": traffic.events,
        "lines": lines.collect::<Vec<_>>(), "totals": totals, "break_even": evens.collect::<Vec<_>>(),
    }))
}

fn print(
    traffic: &Traffic,
    prices: &Prices,
    estimate: &Estimate,
    evens: &[BreakEven],
) -> Result<(), Failure> {
    let mut rows: Vec<Vec<String>> = estimate
        .lines
        .iter()
        .map(|line| {
            let usd = Form::ALL.map(|form| dollars(line.in_form(form)));
            let named = [line.service.to_owned(), line.item.to_owned()];
            let quantity = amount(line.quantity);
            named.into_iter().chain([quantity]).chain(usd).collect()
        })
        .collect();
    let total = |name: &str, of: &dyn Fn(f64) -> f64| {
        let usd = Form::ALL.map(|form| dollars(of(estimate.total(form))));
        let named = [name.to_owned(), String::new(), String::new()];
        named.into_iter().chain(usd).collect()
    };
    rows.push(total("Month", &|month| month));
    rows.push(total("Per million", &|month| month / traffic.events * 1e6));
    let headings = [
        "service",
        "what",
        "a month",
        "small lane",
        "large lane",
        "container",
    ];
    output::table(&headings, rows)?;
    output::line("")?;
    for (later, first, at) in evens {
        output::line(match at {
            Some(events) => format!(
                "{} costs less than {first} from {} webhooks a month on",
                paint(BOLD, later),
                amount(*events),
            ),
            None => format!("{} never costs less than {first}", paint(BOLD, later)),
        })?;
    }
    output::note(format_args!(
        "USD, list prices of {} on {}, without free tiers. Requests and units were measured; 60 ms of functions at 256 MB and\n\
         500 B of logs for each webhook are assumed. Not in it: support, taxes, what consumers do with their events.",
        prices.region, prices.date,
    ));
    let large: f64 = traffic
        .sizes
        .mean(|bytes| f64::from(bytes > SMALL_LANE_MAX));
    if large > 0.0 {
        output::warning(format_args!(
            "{:.1}% of the webhooks are larger than the 4.5 MB that the small lane takes: they need the large lane, or \
             providers that upload them",
            large * 100.0
        ));
    }
    Ok(())
}

fn dollars(usd: f64) -> String {
    match usd {
        0.0 => "-".to_owned(),
        usd if usd < 0.005 => "<0.01".to_owned(),
        usd => format!("{usd:.2}"),
    }
}

/// A quantity in as few digits as tell.
fn amount(number: f64) -> String {
    match number {
        n if n >= 999_500_000.0 => format!("{:.1} G", n / 1e9),
        n if n >= 999_500.0 => format!("{:.1} M", n / 1e6),
        n if n >= 9_999.5 => format!("{:.1} k", n / 1e3),
        n if n >= 9.95 => format!("{n:.0}"),
        n => format!("{n:.2}"),
    }
}
