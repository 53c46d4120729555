//! `doctor`: examines a data directory that no server uses.

use std::path::PathBuf;

use cloakroom_local::{Depth, DoctorError, Finding, Report, Severity, Step};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data directory. The server must not be running.
    dir: PathBuf,
    /// Read every payload and compare its SHA-256.
    #[arg(long)]
    deep: bool,
}

pub(crate) fn run(args: &Args, json: bool) -> Outcome {
    let depth = if args.deep { Depth::Deep } else { Depth::Usual };
    let bar = output::progress(None, "examining", json);
    let report = cloakroom_local::doctor(&args.dir, depth, &mut |progress| {
        bar.set_message(match progress.step {
            Step::Ledger => "reading the ledger",
            Step::Segments => "reading small payloads",
            Step::Objects => "looking at large payloads",
            _ => "examining",
        });
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let report = report.map_err(failure)?;
    if json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.is_healthy() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

fn failure(error: DoctorError) -> Failure {
    let exit = match error {
        DoctorError::Open(_) => Exit::Unusable,
        _ => Exit::Failure,
    };
    Failure::from_text(exit, &error.to_string())
}

fn print(report: &Report) -> Result<(), Failure> {
    for finding in &report.findings {
        print_finding(finding)?;
    }
    let totals = report.totals;
    output::line(format_args!(
        "{} streams, {} events, {} quarantined; {} payloads in {} segments ({}), {} large payloads ({}); ledger {}",
        totals.streams,
        totals.events,
        totals.quarantined,
        totals.packed,
        totals.segments,
        output::size(totals.segment_bytes),
        totals.objects,
        output::size(totals.object_bytes),
        output::size(totals.ledger_bytes),
    ))?;
    let verdict = if report.is_healthy() {
        paint(GREEN, "nothing is lost or damaged")
    } else {
        paint(RED, "something is lost or damaged")
    };
    output::line(format_args!("{}: {verdict}", report.path.display()))
}

fn print_finding(finding: &Finding) -> Result<(), Failure> {
    let (style, word) = match finding.severity {
        Severity::Error => (RED, "error"),
        Severity::Warning => (YELLOW, "warning"),
        Severity::Note => (CYAN, "note"),
    };
    let place = if finding.count == 1 {
        "place"
    } else {
        "places"
    };
    output::line(format_args!(
        "{}: {}: {} ({} {place})",
        paint(style.bold(), word),
        paint(BOLD, finding.code),
        finding.meaning,
        finding.count
    ))?;
    for place in &finding.places {
        output::line(format_args!("    {}", paint(DIM, place)))?;
    }
    let unnamed = finding.count - finding.places.len() as u64;
    if unnamed > 0 {
        output::line(format_args!("    and {unnamed} more"))?;
    }
    output::line(format_args!(
        "  {}: {}",
        paint(CYAN, "remedy"),
        finding.remedy
    ))
}
