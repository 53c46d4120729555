//! Draws the charts of results as SVG files, legible on light pages and on dark ones.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use plotters::coord::combinators::LogCoord;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::report::{Chart, ChartKind, Results, Series};

/// Which results, and where to put what is drawn of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `--save` or `--json` wrote.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The folder for the files `SCENARIO-CHART.svg`.
    #[arg(long, default_value = "docs/plots")]
    into: PathBuf,
}

const SIZE: (u32, u32) = (720, 400);
/// Grey enough to be read on white and on black.
const TEXT: RGBColor = RGBColor(125, 130, 138);
const GRID: RGBAColor = RGBAColor(125, 130, 138, 0.25);
/// The same holds for these.
const COLOURS: [RGBColor; 6] = [
    RGBColor(139, 148, 158),
    RGBColor(214, 126, 44),
    RGBColor(191, 160, 28),
    RGBColor(47, 129, 247),
    RGBColor(46, 160, 67),
    RGBColor(188, 76, 180),
];
/// How wide the bars of one value are together, where two values are 1 apart.
const GROUP: f64 = 0.8;

/// Draws every chart, and prints the names of the files.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.into)?;
    for path in &args.results {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let results: Results = serde_json::from_str(&text)
            .with_context(|| format!("{} holds no results of this program", path.display()))?;
        for report in &results.reports {
            for chart in &report.charts {
                let file = format!("{}-{}.svg", report.scenario, chart.name);
                let file = args.into.join(file);
                draw(chart, &file).with_context(|| format!("cannot draw {}", file.display()))?;
                println!("{}", file.display());
            }
        }
    }
    Ok(())
}

fn draw(chart: &Chart, file: &Path) -> anyhow::Result<()> {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    ensure!(points().count() > 0, "there is nothing to draw");
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let lowest = points().map(|point| point.1).fold(highest, f64::min);
    let across = match chart.kind {
        ChartKind::Lines => 0.0..points().map(|point| point.0).fold(0.0, f64::max),
        ChartKind::Bars => -0.5..groups(chart).len() as f64 - 0.5,
    };
    let top = (highest * 1.25).max(f64::MIN_POSITIVE);
    if chart.logarithmic {
        let bottom = 10_f64.powf(lowest.max(1e-3).log10().floor());
        // Room for the legend above the highest.
        let up: LogCoord<f64> = (bottom..top.max(bottom * 10.0) * 3.0).log_scale().into();
        painted(chart, file, across, up, bottom)
    } else {
        painted(chart, file, across, RangedCoordf64::from(0.0..top), 0.0)
    }
}

fn painted<Y>(
    chart: &Chart,
    file: &Path,
    across: Range<f64>,
    up: Y,
    bottom: f64,
) -> anyhow::Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    let text = |size: u32| ("sans-serif", size).into_font().color(&TEXT);
    let mut drawing = ChartBuilder::on(&area)
        .caption(&chart.title, text(18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(across, up)?;
    let names = groups(chart);
    let label = |x: &f64| match chart.kind {
        ChartKind::Lines => number(*x),
        ChartKind::Bars => names
            .get(x.round().max(0.0) as usize)
            .map_or_else(String::new, |value| number(*value)),
    };
    let mut mesh = drawing.configure_mesh();
    mesh.axis_style(TEXT)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(text(13))
        .axis_desc_style(text(14))
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_label_formatter(&label)
        .y_label_formatter(&|y| number(*y));
    if chart.kind == ChartKind::Bars {
        mesh.disable_x_mesh().x_labels(names.len());
    }
    mesh.draw()?;
    let count = chart.series.len();
    for (index, series) in chart.series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let drawn = match chart.kind {
            ChartKind::Lines => drawing.draw_series(LineSeries::new(
                series.points.iter().copied(),
                colour.stroke_width(2),
            ))?,
            ChartKind::Bars => {
                let bars = bars(series, &names, index, count, bottom);
                drawing.draw_series(bars.map(|bar| Rectangle::new(bar, colour.filled())))?
            }
        };
        drawn
            .label(&series.name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    drawing
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(text(13))
        .border_style(TRANSPARENT)
        .draw()?;
    area.present()?;
    Ok(())
}

/// The values that bars stand over, in order.
fn groups(chart: &Chart) -> Vec<f64> {
    let points = chart.series.iter().flat_map(|series| &series.points);
    let mut values: Vec<_> = points.map(|point| point.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// The corners of one series' bars.
fn bars<'a>(
    series: &'a Series,
    groups: &'a [f64],
    index: usize,
    count: usize,
    bottom: f64,
) -> impl Iterator<Item = [(f64, f64); 2]> + 'a {
    let width = GROUP / count as f64;
    series.points.iter().filter_map(move |(x, y)| {
        let group = groups.iter().position(|value| value == x)? as f64;
        let left = group - GROUP / 2.0 + width * index as f64;
        Some([(left, bottom), (left + width * 0.92, *y)])
    })
}

/// A number as an axis has it.
fn number(value: f64) -> String {
    match value.abs() {
        at if at >= 1_000_000.0 => format!("{}M", value / 1_000_000.0),
        at if at >= 10_000.0 => format!("{}k", value / 1_000.0),
        _ => format!("{}", (value * 1_000.0).round() / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(kind: ChartKind, logarithmic: bool) -> Chart {
        let series = |name: &str, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        Chart {
            name: "test".to_owned(),
            title: "A title & more".to_owned(),
            kind,
            x: "seconds".to_owned(),
            y: "webhooks per second".to_owned(),
            logarithmic,
            series: vec![
                series("one", &[(1.0, 20.0), (16.0, 4_000.0), (64.0, 15_000.0)]),
                series("another", &[(1.0, 0.5), (64.0, 30_000.0)]),
            ],
        }
    }

    #[test]
    fn every_kind_of_chart_is_drawn_with_its_names_and_units() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [ChartKind::Lines, ChartKind::Bars] {
            for logarithmic in [false, true] {
                let file = folder.path().join("chart.svg");
                draw(&chart(kind, logarithmic), &file).unwrap();
                let svg = std::fs::read_to_string(&file).unwrap();
                for text in [
                    "A title &amp; more",
                    "seconds",
                    "webhooks per second",
                    "another",
                ] {
                    assert!(svg.contains(text), "{text} in {kind:?}");
                }
            }
        }
    }

    #[test]
    fn bars_of_a_group_stand_side_by_side() {
        let chart = chart(ChartKind::Bars, false);
        let names = groups(&chart);
        assert_eq!(names.len(), 3);
        let first: Vec<_> = bars(&chart.series[0], &names, 0, 2, 0.0).collect();
        let second: Vec<_> = bars(&chart.series[1], &names, 1, 2, 0.0).collect();
        assert!(first[0][1].0 <= second[0][0].0, "no overlap");
        assert!(second[0][1].0 < first[1][0].0, "groups are apart");
        assert!((second[1][1].1 - 30_000.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_not_drawn() {
        let mut empty = chart(ChartKind::Lines, false);
        empty.series.clear();
        let folder = tempfile::tempdir().unwrap();
        assert!(draw(&empty, &folder.path().join("chart.svg")).is_err());
    }
}
