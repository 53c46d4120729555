//! Figures, as a table or as JSON.

use std::borrow::Cow;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one scenario found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The scenario.
    pub(crate) scenario: Cow<'static, str>,
    /// What was found.
    pub(crate) figures: Vec<Figure>,
    /// What can be drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) charts: Vec<Chart>,
}

/// Something to draw: lines over a common axis, or bars over a few common values.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Chart {
    /// Names the file, together with the scenario's name.
    pub(crate) name: String,
    /// What it shows.
    pub(crate) title: String,
    /// How it is drawn.
    pub(crate) kind: ChartKind,
    /// What runs to the right, with its unit.
    pub(crate) x: String,
    /// What runs upwards, with its unit.
    pub(crate) y: String,
    /// Whether each step upwards is ten times the one before.
    pub(crate) logarithmic: bool,
    /// What is compared.
    pub(crate) series: Vec<Series>,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChartKind {
    /// A line for each series.
    Lines,
    /// A bar for each series at each of few values.
    Bars,
}

/// One line, or one set of bars.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// What the legend calls it.
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aim: Option<Aim>,
}

/// What a figure should reach.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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
            scenario: Cow::Borrowed(scenario),
            figures: Vec::new(),
            charts: Vec::new(),
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
            unit: Cow::Borrowed(unit),
            aim,
        });
    }

    /// Adds percentiles of times in microseconds.
    pub(crate) fn percentiles(&mut self, name: &str, times: &[u32]) -> anyhow::Result<()> {
        let at = [0.5, 0.99, 0.999, 1.0];
        for (label, millis) in ["p50", "p99", "p99.9", "max"]
            .into_iter()
            .zip(quantiles(times, at)?)
        {
            self.add(format!("{name}, {label}"), millis, "ms");
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header([&*self.scenario, "figure", "aim"]);
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

/// Quantiles of times in microseconds, in milliseconds.
pub(crate) fn quantiles<const N: usize>(times: &[u32], at: [f64; N]) -> anyhow::Result<[f64; N]> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for time in times {
        histogram.record(u64::from(*time).max(1))?;
    }
    Ok(at.map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0))
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
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
#[derive(Debug, Serialize, Deserialize)]
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

/// What a run of this program found, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Where.
    pub(crate) machine: Machine,
    /// What.
    pub(crate) reports: Vec<Report>,
}

/// Prints reports: tables as soon as each is there, JSON at the end.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
    results: Results,
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
            json,
            results: Results {
                machine,
                reports: Vec::new(),
            },
        }
    }

    /// Adds a report.
    pub(crate) fn add(&mut self, report: Report) {
        if !self.json {
            println!("\n{}", report.table());
        }
        self.results.reports.push(report);
    }

    /// Prints what has not been printed yet, and saves all of it if there is a place for it.
    pub(crate) fn end(self, save: Option<&Path>) -> anyhow::Result<()> {
        let mut json = serde_json::to_string_pretty(&self.results)?;
        json.push('\n');
        if self.json {
            print!("{json}");
        }
        if let Some(path) = save {
            std::fs::write(path, json)
                .with_context(|| format!("cannot write {}", path.display()))?;
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
    fn medians_lie_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
    }

    #[test]
    fn a_missed_aim_is_told() {
        let mut report = Report::new("test");
        report.aim("ratio", 0.4, "", Aim::AtLeast(0.5));
        assert!(report.table().contains("missed"));
    }
}
