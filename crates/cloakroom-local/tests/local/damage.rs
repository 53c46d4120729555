//! Files that were damaged: found by the doctor, refused by the store, never served.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cloakroom_core::event::ClaimName;
use cloakroom_core::head::{Base, Head};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{ClaimError, Ledger as _, Write};
use cloakroom_engine::record::{HeadRecord, Record};
use cloakroom_local::{DataDir, Depth, Progress, Report, Severity, doctor};
use tempfile::TempDir;

use super::{body, event_with, options, put, read};

/// A directory with one dense stream of `claims`, released to its end.
struct Patient {
    folder: TempDir,
    claims: Vec<ClaimName>,
}

const SIZES: [usize; 5] = [100, 5000, 200_000, 64 * 1024, 300_000];

impl Patient {
    async fn new() -> Self {
        Self::without(&[]).await
    }

    /// Some numbers have no event.
    async fn without(missing: &[u64]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = DataDir::open(folder.path(), &options()).unwrap();
        let stream = StreamId::new("shop", "a");
        let mut claims = Vec::new();
        for (number, size) in SIZES.into_iter().enumerate() {
            let body = body(number as u64, size);
            let claim = put(&store, &body).await;
            claims.push(claim.clone());
            let number = number as u64 + 1;
            if !missing.contains(&number) {
                let event = event_with(&stream, number, Some(claim), &body);
                store
                    .ledger
                    .transact(vec![Write::Create(Record::Event(event))])
                    .await
                    .unwrap();
            }
        }
        let late = Position::after_head(Some(&Position::dense(3))).unwrap();
        let event = samples::event(&stream, &late, "late");
        let head = HeadRecord {
            head: Head {
                position: Some(Position::dense(SIZES.len() as u64)),
                base: Base::Settled(1),
                wake_at: Some(samples::at(5)),
                ..Head::default()
            },
            ..samples::head(&stream, None, 1)
        };
        let writes = [Record::Head(head), Record::Event(event)].map(Write::Create);
        store.ledger.transact(writes.to_vec()).await.unwrap();
        store.close().unwrap();
        Self { folder, claims }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn examine(&self, depth: Depth) -> Report {
        let before = content(self.path());
        let mut told = Vec::new();
        let report = doctor(self.path(), depth, &mut |progress: Progress| {
            told.push(progress.step);
        })
        .unwrap();
        assert_eq!(content(self.path()), before, "the doctor changes nothing");
        assert!(!told.is_empty());
        report
    }

    /// Expects exactly these findings.
    fn check(&self, depth: Depth, expected: &[(Severity, &str)]) -> Report {
        let report = self.examine(depth);
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|finding| (finding.severity, finding.code))
            .collect();
        assert_eq!(found, expected, "{:#?}", report.findings);
        let is_bad = expected
            .iter()
            .any(|(severity, _)| *severity == Severity::Error);
        assert_eq!(report.is_healthy(), !is_bad);
        serde_json::to_string(&report).unwrap();
        report
    }

    async fn read(&self, number: usize) -> Result<bytes::Bytes, ClaimError> {
        let store = DataDir::open(self.path(), &options()).unwrap();
        read(&store, &self.claims[number]).await
    }

    fn file_of(&self, number: usize) -> PathBuf {
        let name = self.claims[number].0.as_str();
        let id = name.strip_prefix("o/").unwrap();
        self.path().join("claims/objects").join(&id[..2]).join(id)
    }

    fn segment(&self) -> PathBuf {
        let segments = fs::read_dir(self.path().join("claims/segments")).unwrap();
        segments.map(|entry| entry.unwrap().path()).max().unwrap()
    }

    /// Where the record of a packed claim begins.
    fn offset_of(&self, number: usize) -> u64 {
        self.claims[number]
            .0
            .split('/')
            .nth(2)
            .unwrap()
            .parse()
            .unwrap()
    }
}

/// Every file with its content.
fn content(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

fn flip(path: &Path, at: u64) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
}

fn is_corrupt<T>(found: &Result<T, ClaimError>) -> bool {
    matches!(found, Err(ClaimError::Corrupt(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_directory_has_nothing_to_report() {
    let patient = Patient::new().await;
    let report = patient.check(Depth::Deep, &[]);
    assert_eq!(
        (
            report.totals.streams,
            report.totals.events,
            report.totals.hashed
        ),
        (1, 6, 5)
    );
    assert_eq!(
        (
            report.totals.packed,
            report.totals.objects,
            report.totals.segments
        ),
        (3, 2, 1)
    );
    patient.check(Depth::Usual, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_events_are_found() {
    let patient = Patient::without(&[2, 3]).await;
    let expected = [
        (Severity::Error, "event-missing"),
        (Severity::Note, "claim-unreferenced"),
    ];
    let report = patient.check(Depth::Usual, &expected);
    assert_eq!(report.findings[0].places, ["shop/a: 2 to 3"]);
    assert_eq!(report.findings[1].count, 2);
    let patient = Patient::without(&[5]).await;
    let report = patient.examine(Depth::Usual);
    assert_eq!(report.findings[0].places, ["shop/a: 5 to 5"]);
    let patient = Patient::without(&[1]).await;
    let report = patient.examine(Depth::Usual);
    assert_eq!(report.findings[0].places, ["shop/a: 1 to 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_packed_payload_is_never_served() {
    // In the header, in the hint, at the start of the payload, and in its last byte.
    for at in [0, 5, 9, 13, 30, 5000] {
        let patient = Patient::new().await;
        flip(&patient.segment(), patient.offset_of(1) + at);
        let expected = [
            (Severity::Error, "segment-damaged"),
            (Severity::Error, "claim-damaged"),
        ];
        patient.check(Depth::Usual, &expected);
        assert!(is_corrupt(&patient.read(1).await), "{at}");
        assert!(
            patient.read(0).await.unwrap() == body(0, SIZES[0]),
            "its neighbours are"
        );
        assert!(
            patient.read(3).await.unwrap() == body(3, SIZES[3]),
            "and stay, though behind the damage"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off_and_never_served() {
    let patient = Patient::new().await;
    let segment = patient.segment();
    let sound = fs::read(&segment).unwrap();
    // The last packed one is number 3. Nobody was told of a torn one: take its entry's place with a tail of garbage.
    let mut file = File::options().append(true).open(&segment).unwrap();
    file.write_all(&sound[patient.offset_of(3) as usize..][..500])
        .unwrap();
    let report = patient.check(Depth::Deep, &[(Severity::Note, "segment-tail")]);
    assert_eq!(report.findings[0].count, 1);
    assert!(patient.read(3).await.unwrap() == body(3, SIZES[3]));
    assert_eq!(
        fs::read(&segment).unwrap(),
        sound,
        "the next start cuts it off"
    );
    patient.check(Depth::Deep, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_segment_is_found_and_refused() {
    let patient = Patient::new().await;
    let segment = File::options().write(true).open(patient.segment()).unwrap();
    segment.set_len(patient.offset_of(3) + 100).unwrap();
    let expected = [
        (Severity::Error, "claim-damaged"),
        (Severity::Note, "segment-tail"),
    ];
    patient.check(Depth::Usual, &expected);
    let found = patient.read(3).await;
    assert!(matches!(
        found,
        Err(ClaimError::Missing(_) | ClaimError::Corrupt(_))
    ));
    patient.check(Depth::Usual, &[(Severity::Error, "claim-missing")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_are_found_and_refused() {
    let patient = Patient::new().await;
    flip(&patient.file_of(2), 150_000);
    patient.check(Depth::Usual, &[]);
    patient.check(Depth::Deep, &[(Severity::Error, "claim-differs")]);
    assert!(
        is_corrupt(&patient.read(2).await),
        "a whole read ends in an error before its last piece"
    );

    let file = File::options()
        .write(true)
        .open(patient.file_of(4))
        .unwrap();
    file.set_len(200_000).unwrap();
    assert!(
        is_corrupt(&patient.read(4).await),
        "a truncated one is not even begun"
    );
    let expected = [
        (Severity::Error, "claim-differs"),
        (Severity::Error, "claim-damaged"),
    ];
    patient.check(Depth::Deep, &expected);
    fs::remove_file(patient.file_of(4)).unwrap();
    patient.check(Depth::Usual, &[(Severity::Error, "claim-missing")]);
    assert!(matches!(patient.read(4).await, Err(ClaimError::Missing(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_are_noted() {
    let patient = Patient::new().await;
    fs::write(patient.path().join("claims/staging/0123"), "x").unwrap();
    patient.check(Depth::Usual, &[(Severity::Note, "staging-leftover")]);
    patient.read(0).await.unwrap();
    patient.check(Depth::Usual, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_gone_is_an_error() {
    let patient = Patient::new().await;
    fs::remove_dir_all(patient.path().join("ledger")).unwrap();
    let expected = [
        (Severity::Error, "ledger-missing"),
        (Severity::Note, "claim-unreferenced"),
    ];
    patient.check(Depth::Usual, &expected);
}
