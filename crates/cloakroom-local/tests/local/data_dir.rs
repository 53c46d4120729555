//! Who may use a directory, and what is said to the others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cloakroom_core::event::Sha256;
use cloakroom_engine::conformance::samples::at;
use cloakroom_engine::ports::{ClaimHint, ClaimStore as _};
use cloakroom_local::{DataDir, Depth, DoctorError, LastRun, OpenError, Options, doctor};

use super::options;

fn refusal(path: &Path) -> String {
    DataDir::open(path, &options()).unwrap_err().to_string()
}

fn check_refusal(path: &Path, parts: &[&str]) {
    let text = refusal(path);
    for part in parts {
        assert!(text.contains(part), "{text:?} should say {part:?}");
    }
}

#[tokio::test]
async fn a_directory_is_made_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/data");
    let first = DataDir::open(&path, &options()).unwrap();
    assert_eq!(
        first.last_run,
        LastRun {
            started: None,
            ended_cleanly: true
        }
    );
    assert_eq!(first.path(), path);
    let key = first.url_key.clone();
    first.close().unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(
        fs::metadata(path.join("url.key"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let second = DataDir::open(&path, &Options::at(at(10))).unwrap();
    assert_eq!(
        second.last_run,
        LastRun {
            started: Some(at(0)),
            ended_cleanly: true
        }
    );
    assert_eq!(*second.url_key, *key, "the key stays the same");
    drop(second);
    let other = DataDir::open(folder.path().join("other"), &options()).unwrap();
    assert_ne!(*other.url_key, *key);
}

#[tokio::test]
async fn crashes_are_remembered_until_their_payloads_are_reclaimed() {
    let folder = tempfile::tempdir().unwrap();
    let open = |now| DataDir::open(folder.path(), &Options::at(at(now))).unwrap();
    drop(open(10));
    let second = open(20);
    assert_eq!(
        second.last_run,
        LastRun {
            started: Some(at(10)),
            ended_cleanly: false
        }
    );
    drop(second);
    let third = open(30);
    assert_eq!(
        third.last_run.started,
        Some(at(10)),
        "the first of them counts: nobody has reclaimed since"
    );
    third.reclaimed().unwrap();
    drop(third);
    let fourth = open(40);
    assert_eq!(
        fourth.last_run,
        LastRun {
            started: Some(at(30)),
            ended_cleanly: false
        }
    );
    fourth.close().unwrap();
    assert!(open(50).last_run.ended_cleanly);
}

#[tokio::test]
async fn a_second_user_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let store = DataDir::open(path, &options()).unwrap();
    let pid = format!("process {}", std::process::id());
    check_refusal(
        path,
        &[
            "is in use by",
            &pid,
            "--data-dir",
            &path.display().to_string(),
        ],
    );
    let refused = doctor(path, Depth::Usual, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&refused, DoctorError::Open(OpenError::InUse { .. })),
        "{refused}"
    );
    store.close().unwrap();
    doctor(path, Depth::Usual, &mut |_| {}).unwrap();
    drop(DataDir::open(path, &options()).unwrap());
}

#[tokio::test]
async fn what_is_no_data_directory_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    check_refusal(&file, &["is not a directory", "--data-dir"]);
    check_refusal(folder.path(), &["not empty", "no cloakroom data directory"]);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was put into it"
    );
    let dangling = folder.path().join("dangling");
    symlink("/proc/nowhere/data", &dangling).unwrap();
    check_refusal(&dangling, &["cannot create"]);
    let refused = doctor(folder.path(), Depth::Usual, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&refused, DoctorError::Open(OpenError::Foreign { .. })),
        "{refused}"
    );
    // A place where even the superuser can create nothing.
    check_refusal(
        Path::new("/proc/cloakroom"),
        &["cannot create", "/proc/cloakroom"],
    );
}

#[test]
fn errors_of_the_system_come_with_a_remedy() {
    for (kind, remedy) in [
        (
            std::io::ErrorKind::PermissionDenied,
            "give this user read and write access",
        ),
        (std::io::ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
        (std::io::ErrorKind::StorageFull, "make room"),
    ] {
        let error = OpenError::Io {
            what: "write to",
            path: "/data".into(),
            error: kind.into(),
        };
        assert!(error.to_string().contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn other_formats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    DataDir::open(path, &options()).unwrap().close().unwrap();
    for (text, said) in [
        ("cloakroom data directory, format 2\n", "has format \"2\""),
        ("cloakroom data directory, format x\n", "has format \"x\""),
        ("", "has format \"\""),
        ("\u{0}garbage", "garbage"),
    ] {
        fs::write(path.join("format"), text).unwrap();
        check_refusal(
            path,
            &[said, "formats up to 1", "use the version that wrote it"],
        );
        let refused = doctor(path, Depth::Usual, &mut |_| {}).unwrap_err();
        assert!(
            matches!(&refused, DoctorError::Open(OpenError::Format { .. })),
            "{refused}"
        );
    }
    fs::write(path.join("format"), "cloakroom data directory, format 1\n").unwrap();
    fs::write(path.join("url.key"), "short").unwrap();
    check_refusal(path, &["url.key", "does not hold a key"]);
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_made_good() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lock"), "").unwrap();
    fs::write(folder.path().join("format.next"), "cloak").unwrap();
    let store = DataDir::open(folder.path(), &options()).unwrap();
    let mut upload = store.claims.begin().await.unwrap();
    upload.write(super::body(1, 3_000_000)).await.unwrap();
    let staging = folder.path().join("claims/staging");
    assert_eq!(
        fs::read_dir(&staging).unwrap().count(),
        1,
        "a large upload is on disk while under way"
    );
    drop(upload);
    assert_eq!(
        fs::read_dir(&staging).unwrap().count(),
        0,
        "a dropped upload leaves nothing"
    );
    drop(store);
    fs::write(staging.join("0123"), "half an upload").unwrap();
    drop(DataDir::open(folder.path(), &options()).unwrap());
    assert_eq!(
        fs::read_dir(&staging).unwrap().count(),
        0,
        "what a crash left is removed"
    );
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_payloads() {
    let folder = tempfile::tempdir().unwrap();
    let claim = {
        let store = DataDir::open(folder.path(), &options()).unwrap();
        super::put(&store, &super::body(1, 10)).await
    };
    let full = Options {
        reserve_bytes: u64::MAX,
        ..options()
    };
    let store = DataDir::open(folder.path(), &full).unwrap();
    for size in [10, 200_000] {
        let body = super::body(2, size);
        let hint = ClaimHint {
            source: "shop".into(),
            identity: "evt".into(),
            event: None,
            sha256: Sha256::of(&body),
            size: size as u64,
            recorded: at(0),
        };
        let refused = store.claims.put(&hint, body).await.unwrap_err().to_string();
        assert!(refused.contains("bytes are free"), "{refused}");
    }
    assert!(
        super::read(&store, &claim).await.unwrap() == super::body(1, 10),
        "reads go on"
    );
}
