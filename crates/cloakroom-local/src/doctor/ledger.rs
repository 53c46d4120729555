//! Every record of the ledger.

use std::path::Path;

use cloakroom_core::event::Payload;
use cloakroom_engine::ports::LedgerError;
use cloakroom_engine::record::{HeadRecord, Record};

use super::claims::Referenced;
use super::report::Findings;
use super::{Depth, Progress, Severity, Step, Totals};
use crate::ledger::{Examined, log};
use crate::{key, value};

/// Progress is told after this many records.
const PROGRESS_EVERY: u64 = 4096;

pub(super) fn examine(
    folder: &Path,
    depth: Depth,
    findings: &mut Findings,
    totals: &mut Totals,
    referenced: &mut Referenced<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), LedgerError> {
    if let Err(damage) = log::check(folder) {
        findings.add(Severity::Error, "ledger-damaged", damage.to_string());
    }
    let store = Examined::open(folder)?;
    for fault in store.faults(depth == Depth::Deep)? {
        findings.add(Severity::Error, "ledger-damaged", fault);
    }
    let mut wanting = 0_u64;
    store.each_record(&mut |stored_key, bytes| {
        if totals.records.is_multiple_of(PROGRESS_EVERY) {
            progress(Progress {
                step: Step::Ledger,
                done: totals.records,
                total: None,
            });
        }
        totals.records += 1;
        let record = match value::decode(bytes) {
            Ok(record) => record,
            Err(error) => {
                findings.add(
                    Severity::Error,
                    "record-unreadable",
                    format!("{}: {error}", hex::encode(stored_key)),
                );
                return Ok(());
            }
        };
        let its_key = record.key();
        if key::encode(&its_key) != stored_key {
            findings.add(Severity::Error, "record-misplaced", format!("{its_key:?}"));
        }
        if let Some((kind, due)) = record.attention() {
            wanting += 1;
            if !store.wants_attention(kind, due, &its_key)? {
                findings.add(
                    Severity::Warning,
                    "attention-missing",
                    format!("{its_key:?}"),
                );
            }
        }
        match &record {
            Record::Head(head) => {
                totals.streams += 1;
                check_dense(&store, head, findings)?;
            }
            Record::Event(_) => totals.events += 1,
            Record::Quarantined(_) => totals.quarantined += 1,
            _ => {}
        }
        if let Some(payload) = payload(&record) {
            referenced.check(&format!("{its_key:?}"), payload, findings, totals);
        }
        Ok(())
    })?;
    let listed = store.attention_len()?;
    if listed > wanting {
        findings.add(
            Severity::Warning,
            "attention-stale",
            format!("{} entries too many", listed - wanting),
        );
    }
    progress(Progress {
        step: Step::Ledger,
        done: totals.records,
        total: Some(totals.records),
    });
    Ok(())
}

fn payload(record: &Record) -> Option<&Payload> {
    match record {
        Record::Event(event) => event.payload(),
        Record::Superseded(superseded) => superseded.event.as_ref()?.payload(),
        Record::Quarantined(quarantined) => Some(&quarantined.payload),
        _ => None,
    }
}

/// In a dense stream every number from the base (or above the floor) to the head is taken.
fn check_dense(
    store: &Examined,
    head: &HeadRecord,
    findings: &mut Findings,
) -> Result<(), LedgerError> {
    let watermark = &head.head;
    let (Some(base), Some(position)) = (watermark.base.number(), &watermark.position) else {
        return Ok(());
    };
    // A late event placed before the first number has none: then no number is released yet.
    let Some(last) = position.number() else {
        return Ok(());
    };
    let removed = watermark.floor.as_ref().and_then(|floor| floor.number());
    let mut expected = removed.map_or(base, |removed| base.max(removed.saturating_add(1)));
    let mut missing = |from: u64, to: u64| {
        let stream = &head.stream;
        findings.add(
            Severity::Error,
            "event-missing",
            format!("{stream}: {from} to {to}"),
        );
    };
    store.each_event(
        &head.stream,
        watermark.floor.as_ref(),
        position,
        &mut |event| {
            if let Some(number) = event
                .position
                .number()
                .filter(|_| !event.position.is_late())
            {
                if number > expected {
                    missing(expected, number - 1);
                }
                expected = expected.max(number.saturating_add(1));
            }
        },
    )?;
    if expected <= last {
        missing(expected, last);
    }
    Ok(())
}
