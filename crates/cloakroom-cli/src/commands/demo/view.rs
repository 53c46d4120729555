//! What the demo shows while it runs: what arrives on the left, what leaves on the right, gaps across.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;
use tokio::sync::mpsc::UnboundedReceiver;

use super::script::Place;
use super::transfers::IDS;
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, paint};

/// The width of the left column.
const LEFT: usize = 48;

/// Something worth showing.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// The server answered the provider.
    Arrived {
        place: Place,
        size: u64,
        verdict: Verdict,
        forged: bool,
    },
    /// The consumer took an event.
    Left {
        transfer: String,
        sequence: u32,
        size: u64,
        by_reference: bool,
    },
    /// Numbers are missing.
    GapOpened {
        transfer: String,
        from: u32,
        to: u32,
    },
    /// They are not missing any more.
    GapClosed { transfer: String, after: Duration },
    /// Something to be said.
    Told(String),
    /// Nothing more will happen.
    End,
}

/// What the server said to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    Duplicate,
    Refused,
    /// Anything else.
    Failed(String),
}

/// Shows what happens until the end is told, or nothing at all when the summary is wanted as JSON.
pub(super) async fn show(
    mut happenings: UnboundedReceiver<Happening>,
    clock: Arc<SystemClock>,
    quiet: bool,
) {
    let start = clock.now();
    let mut screen = Screen::default();
    if !quiet {
        let _ = output::line(screen.heading());
    }
    while let Some(happening) = happenings.recv().await {
        if matches!(happening, Happening::End) {
            break;
        }
        if !quiet {
            let at = clock.now().since(start);
            // When nobody reads any more, the check still goes on.
            let _ = output::line(screen.line(at, &happening));
        }
    }
}

/// Remembers what lines refer to.
#[derive(Debug, Default)]
struct Screen {
    /// The next number of each transfer that has to leave.
    next: HashMap<String, u32>,
}

impl Screen {
    fn heading(&self) -> String {
        let left = format!("{:>7}  {:<LEFT$}", "", "what arrives at the server");
        paint(BOLD, format_args!("{left}  what leaves it, in order"))
    }

    fn line(&mut self, at: Duration, happening: &Happening) -> String {
        let time = paint(DIM, format_args!("{:>6.2}s", at.as_secs_f64()));
        let body = match happening {
            Happening::Arrived {
                place,
                size,
                verdict,
                forged,
            } => self.arrived(*place, *size, verdict, *forged),
            Happening::Left {
                transfer,
                sequence,
                size,
                by_reference,
            } => {
                self.next.insert(transfer.clone(), sequence + 1);
                let how = if *by_reference { ", fetched" } else { "" };
                let name = paint(hue(transfer), format_args!("{transfer} #{sequence:<3}"));
                format!(
                    "{:LEFT$}  {} {name} {}{how}",
                    "",
                    paint(GREEN, "←"),
                    output::size(*size)
                )
            }
            Happening::GapOpened { transfer, from, to } => {
                let missing = if from == to {
                    format!("#{from} is")
                } else {
                    format!("#{from} to #{to} are")
                };
                paint(
                    YELLOW,
                    format_args!("┄ gap: {transfer} waits, {missing} missing"),
                )
            }
            Happening::GapClosed { transfer, after } => paint(
                YELLOW,
                format_args!(
                    "┄ gap closed: {transfer} goes on after {}",
                    output::span(*after)
                ),
            ),
            Happening::Told(text) => paint(BOLD, format_args!("┄ {text}")),
            Happening::End => String::new(),
        };
        format!("{time}  {body}")
    }

    fn arrived(&self, place: Place, size: u64, verdict: &Verdict, forged: bool) -> String {
        let due = self.next.get(place.transfer).copied().unwrap_or(1);
        let (style, word) = match verdict {
            Verdict::Accepted if place.sequence > due => (GREEN, "accepted, early".to_owned()),
            Verdict::Accepted => (GREEN, "accepted".to_owned()),
            Verdict::Duplicate => (DIM, "duplicate".to_owned()),
            Verdict::Refused => (RED, "refused".to_owned()),
            Verdict::Failed(problem) => (RED, problem.clone()),
        };
        let what = if forged { ", forged" } else { "" };
        let name = paint(
            hue(place.transfer),
            format_args!("{} #{:<3}", place.transfer, place.sequence),
        );
        format!(
            "{} {name} {:>8}  {}",
            paint(style, "→"),
            output::size(size),
            paint(style, format_args!("{word}{what}"))
        )
    }
}

/// A colour for each transfer, so that the eye can follow one.
fn hue(transfer: &str) -> Style {
    const HUES: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightGreen,
        AnsiColor::BrightYellow,
        AnsiColor::BrightCyan,
    ];
    let index = IDS
        .iter()
        .position(|id| *id == transfer)
        .unwrap_or_default();
    Style::new().fg_color(Some(HUES[index % HUES.len()].into()))
}
