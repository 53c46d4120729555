//! What comes in and goes out: the question that the estimate answers.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use cloakroom_core::config::{Config, Sink, Store};
use cloakroom_core::units::Bytes;

/// A number of things: `2500000`, `2_500_000`, `2.5M`, `250k`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Count(pub(super) f64);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, factor) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (&text[..at], 1e3),
            Some((at, 'M')) => (&text[..at], 1e6),
            Some((at, 'G')) => (&text[..at], 1e9),
            _ => (text, 1.0),
        };
        match digits.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() && number > 0.0 => Ok(Self(number * factor)),
            _ => Err("write a number above 0, e.g. `250k`, `2.5M` or `2500000`".to_owned()),
        }
    }
}

/// A part of a whole: `5%` or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(pub(super) f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
            None => text.parse(),
        };
        match parsed {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err("write a share from 0% to 100%, e.g. `5%` or `0.05`".to_owned()),
        }
    }
}

/// Sizes and how often they come: `2KB`, or `1KB:90%,64KB:9%,20MB:1%`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sizes(pub(super) Vec<(f64, f64)>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut sizes = Vec::new();
        for part in text.split(',') {
            let (size, share) = part.split_once(':').unwrap_or((part, "100%"));
            let bytes: Bytes = size.trim().parse().map_err(|error| format!("{error}"))?;
            let share: Share = share.trim().parse()?;
            sizes.push((bytes.get() as f64, share.0));
        }
        let sum: f64 = sizes.iter().map(|(_, share)| share).sum();
        if (sum - 1.0).abs() > 0.001 {
            let percent = sum * 100.0;
            return Err(format!("the shares make {percent:.1}%; let them make 100%"));
        }
        Ok(Self(sizes))
    }
}

impl Sizes {
    /// The mean over all webhooks of something that depends on the size.
    pub(super) fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|(bytes, share)| share * of(*bytes)).sum()
    }
}

/// How a source orders its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Ordering {
    /// Numbers without holes; `version` costs about the same.
    Dense,
    /// The order of acceptance; `sparse` costs about the same.
    Arrival,
}

/// Where a subscription's events go, as far as it costs anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SinkKind {
    Http,
    SqsFifo,
    Sns,
    Eventbridge,
    Lambda,
    StepFunctions,
}

impl SinkKind {
    /// `None` for a sink that has no functions on AWS.
    fn of(sink: &Sink) -> Option<Self> {
        Some(match sink {
            Sink::Http(_) => Self::Http,
            Sink::SqsFifo(_) => Self::SqsFifo,
            Sink::Sns(_) => Self::Sns,
            Sink::Eventbridge(_) => Self::Eventbridge,
            Sink::Lambda(_) => Self::Lambda,
            Sink::StepFunctions(_) => Self::StepFunctions,
            Sink::File(_) | Sink::Stdout(_) | Sink::Pull(_) => return None,
        })
    }
}

/// What the functions and containers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Architecture {
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

/// Everything that the estimate depends on.
#[derive(Debug, Clone)]
pub(super) struct Traffic {
    /// New webhooks in a month.
    pub(super) events: f64,
    pub(super) sizes: Sizes,
    /// The share that comes before one that precedes it.
    pub(super) out_of_order: f64,
    /// Deliveries by the provider of what it delivered before, for each new webhook.
    pub(super) duplicates: f64,
    pub(super) events_per_key: f64,
    /// How many events of one key the pipes hand over together.
    pub(super) together: f64,
    pub(super) ordering: Ordering,
    pub(super) sinks: Vec<SinkKind>,
    /// Payloads up to this size are in the ledger only.
    pub(super) ledger_only_max: f64,
    /// Payloads up to this size travel inside their events.
    pub(super) inline_max: f64,
    pub(super) retention: Duration,
    pub(super) secrets: f64,
    pub(super) architecture: Architecture,
    pub(super) tasks: f64,
    pub(super) task_vcpu: f64,
    pub(super) task_gb: f64,
}

impl Traffic {
    /// Takes what a configuration says about subscriptions, claims and secrets.
    pub(super) fn configure(&mut self, config: &Config) {
        let sinks = config.subscriptions.values();
        self.sinks = sinks.filter_map(|s| SinkKind::of(&s.sink)).collect();
        self.ledger_only_max = match config.claims.store() {
            Store::Always => 0.0,
            Store::Above(bytes) => bytes as f64,
        };
        self.inline_max = config.claims.inline_max.get() as f64;
        self.retention = config.claims.retention.get();
        let mut secrets: Vec<String> = config.secrets().map(ToString::to_string).collect();
        secrets.sort();
        secrets.dedup();
        self.secrets = secrets.len() as f64;
    }

    /// The bytes of a payload that are in its ledger entry.
    pub(super) fn in_entry(&self, bytes: f64) -> f64 {
        if bytes <= self.inline_max.max(self.ledger_only_max) {
            bytes
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, number) in [("250k", 250e3), ("2.5M", 2.5e6), ("1_000", 1e3), ("7", 7.0)] {
            assert_eq!(text.parse(), Ok(Count(number)), "{text}");
        }
        for wrong in ["", "0", "-1", "many", "M", "inf", "1kk"] {
            assert!(wrong.parse::<Count>().is_err(), "{wrong}");
        }
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        assert_eq!("0.5".parse(), Ok(Share(0.5)));
        for wrong in ["101%", "-1%", "1.1", "half"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_make_a_whole() {
        let sizes: Sizes = "1KiB:90%,64KiB:10%".parse().unwrap();
        assert_eq!(sizes.0, [(1024.0, 0.9), (65536.0, 0.1)]);
        assert!((sizes.mean(|bytes| bytes) - 7475.2).abs() < 1e-6);
        assert_eq!("2KB".parse::<Sizes>().unwrap().0, [(2000.0, 1.0)]);
        let error = "1KB:50%,2KB:40%".parse::<Sizes>().unwrap_err();
        assert!(error.contains("90.0%"), "{error}");
        assert!("1 elephant".parse::<Sizes>().is_err());
    }
}
