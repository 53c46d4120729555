//! What an examination found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// How many places of one finding are named; the rest is counted.
const PLACES_MAX: usize = 20;

/// What is known of a data directory after looking at all of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The directory.
    pub path: PathBuf,
    /// What stood out, the worst first.
    pub findings: Vec<Finding>,
    /// What is there.
    pub totals: Totals,
}

impl Report {
    /// Whether nothing is lost or damaged. Warnings and notes do not count.
    pub fn is_healthy(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity < Severity::Error)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing needs to be done.
    Note,
    /// Nothing is lost, but something is not as it should be.
    Warning,
    /// Something that was promised is lost or damaged.
    Error,
}

/// Something that stood out, in one or many places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A short name that stays the same over versions.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// In how many places.
    pub count: u64,
    /// The first of them.
    pub places: Vec<String>,
}

/// What a data directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Records of the ledger, of every kind.
    pub records: u64,
    /// Streams.
    pub streams: u64,
    /// Events.
    pub events: u64,
    /// Quarantined webhooks, resolved ones included.
    pub quarantined: u64,
    /// Bytes of the ledger's files.
    pub ledger_bytes: u64,
    /// Segments of small payloads.
    pub segments: u64,
    /// Payloads in them.
    pub packed: u64,
    /// Bytes of the segments.
    pub segment_bytes: u64,
    /// Large payloads.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Payloads that were hashed and compared.
    pub hashed: u64,
}

/// Findings as they come up, one per code.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<(Severity, &'static str), Finding>);

impl Findings {
    pub(super) fn add(&mut self, severity: Severity, code: &'static str, place: String) {
        let (meaning, remedy) = explain(code);
        let finding = self.0.entry((severity, code)).or_insert_with(|| Finding {
            severity,
            code,
            meaning,
            remedy,
            count: 0,
            places: Vec::new(),
        });
        finding.count += 1;
        if finding.places.len() < PLACES_MAX {
            finding.places.push(place);
        }
    }

    /// The worst first.
    pub(super) fn done(self) -> Vec<Finding> {
        self.0.into_values().rev().collect()
    }
}

const RESTORE: &str = "restore the data directory from a backup, and check the disk; ask the providers to send again what is missing";

/// What a code means, and what to do.
fn explain(code: &str) -> (&'static str, &'static str) {
    match code {
        "ledger-missing" => ("the data directory has no ledger", RESTORE),
        "ledger-unreadable" => (
            "the ledger's files are damaged, so that it could not be read to its end",
            RESTORE,
        ),
        "record-unreadable" => ("a record of the ledger does not read", RESTORE),
        "record-misplaced" => (
            "a record of the ledger stands under another record's key",
            RESTORE,
        ),
        "event-missing" => (
            "a stream has released these numbers, but their events are gone",
            RESTORE,
        ),
        "attention-missing" => (
            "a record that wants attention is not listed, so it waits until something else happens to it",
            "restart the server: it visits every stream in turn; if this comes back, report it",
        ),
        "attention-stale" => (
            "the list of what wants attention names a record that does not want it",
            "report it; nothing is lost",
        ),
        "claim-missing" => (
            "an entry of the ledger names a payload that is not there",
            RESTORE,
        ),
        "claim-damaged" => (
            "a payload is not what was written; it is refused, not served",
            RESTORE,
        ),
        "claim-differs" => (
            "a payload does not have the SHA-256 that its ledger entry tells",
            RESTORE,
        ),
        "claim-unreferenced" => (
            "payloads that no ledger entry names: of webhooks that were never acknowledged, or past retention",
            "nothing; the sweeper removes them",
        ),
        "segment-damaged" => (
            "a segment of small payloads is damaged before its end",
            RESTORE,
        ),
        "segment-tail" => (
            "a segment ends in a write that was cut off and never acknowledged",
            "nothing; the next start cuts it off",
        ),
        "staging-leftover" => (
            "uploads that never became claims",
            "nothing; the next start removes them",
        ),
        _ => ("something stood out", "report it"),
    }
}
