//! Figures, as a table or as JSON.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

/// What one scenario found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The scenario.
    pub(crate) scenario: &'static str,
    /// What was found.
    pub(crate) figures: Vec<Figure>,
}

/// One number.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
}

/// What a figure should reach.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// That much or more.
    AtLeast(f64),
    /// That much or less.
    AtMost(f64),
}

impl Aim {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(aim) => value >= aim,
            Self::AtMost(aim) => value <= aim,
        }
    }
}

impl Report {
    /// An empty one.
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self {
            scenario,
            figures: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.push(name.into(), value, unit, None);
    }

    /// Adds a figure that should reach something.
    pub(crate) fn aim(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        aim: Aim,
    ) {
        self.push(name.into(), value, unit, Some(aim));
    }

    fn push(&mut self, name: String, value: f64, unit: &'static str, aim: Option<Aim>) {
        self.figures.push(Figure {
            name,
            value,
            unit,
            aim,
        });
    }

    /// Adds percentiles of times in microseconds.
    pub(crate) fn percentiles(&mut self, name: &str, times: &[u32]) -> anyhow::Result<()> {
        let mut histogram = Histogram::<u64>::new(3)?;
        for time in times {
            histogram.record(u64::from(*time).max(1))?;
        }
        for (label, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            let micros = histogram.value_at_quantile(quantile);
            self.add(format!("{name}, {label}"), micros as f64 / 1_000.0, "ms");
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header([self.scenario, "figure", "aim"]);
        for figure in &self.figures {
            let aim = match figure.aim {
                None => String::new(),
                Some(aim) => {
                    let (sign, value) = match aim {
                        Aim::AtLeast(value) => ("≥", value),
                        Aim::AtMost(value) => ("≤", value),
                    };
                    let verdict = if aim.is_met(figure.value) {
                        "met"
                    } else {
                        "missed"
                    };
                    format!("{sign} {value} {} ({verdict})", figure.unit)
                }
            };
            table.add_row([figure.name.clone(), number(figure), aim]);
        }
        table.to_string()
    }
}

fn number(figure: &Figure) -> String {
    let digits = match figure.value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        _ => 3,
    };
    format!("{:.digits$} {}", figure.value, figure.unit)
}

/// The machine, without which figures mean little.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    /// The median time of writing 4 KiB to the end of a file and syncing it, in milliseconds.
    fsync_ms: f64,
}

impl Machine {
    /// Looks at this machine, and at the disk that holds `directory`.
    pub(crate) fn examine(directory: &Path) -> anyhow::Result<Self> {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, model)| model);
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self {
            cpu: model.trim().to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: release.trim().to_owned(),
            fsync_ms: crate::disk::sync_time(directory)?,
        })
    }
}

/// Prints reports: tables as soon as each is there, JSON at the end.
#[derive(Debug)]
pub(crate) struct Printer {
    machine: Machine,
    json: bool,
    reports: Vec<Report>,
}

impl Printer {
    /// Tells about the machine first.
    pub(crate) fn begin(machine: Machine, json: bool) -> Self {
        if !json {
            println!(
                "{}, {} cores, Linux {}, a 4 KiB fsync takes {:.2} ms",
                machine.cpu, machine.cores, machine.kernel, machine.fsync_ms
            );
        }
        Self {
            machine,
            json,
            reports: Vec::new(),
        }
    }

    /// Adds a report.
    pub(crate) fn add(&mut self, report: Report) {
        if self.json {
            self.reports.push(report);
        } else {
            println!("\n{}", report.table());
        }
    }

    /// Prints what has not been printed yet.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        if self.json {
            let all = serde_json::json!({ "machine": self.machine, "reports": self.reports });
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut report = Report::new("test");
        let times: Vec<u32> = (1..=1_000).collect();
        report.percentiles("time", &times).unwrap();
        let values: Vec<_> = report.figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [0.5, 0.99, 0.999, 1.0]);
    }

    #[test]
    fn a_missed_aim_is_told() {
        let mut report = Report::new("test");
        report.aim("ratio", 0.4, "", Aim::AtLeast(0.5));
        assert!(report.table().contains("missed"));
    }
}
