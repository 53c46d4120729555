//! The long scenarios, each at a size that takes seconds: that they run to their end and find what they look for. What
//! they measure at that size means nothing.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the bench against the server that was built with it; the results, and where they are.
fn bench(folder: &Path, args: &[&str]) -> (serde_json::Value, PathBuf) {
    let bench = Path::new(env!("CARGO_BIN_EXE_cloakroom-bench"));
    let server = bench.with_file_name("cloakroom");
    assert!(
        server.is_file(),
        "{} is missing: run `cargo build -p cloakroom-cli` first",
        server.display()
    );
    let results = folder.join("results.json");
    let outcome = Command::new(bench)
        .arg("--save")
        .arg(&results)
        .arg("--server")
        .arg(server)
        // What a scenario installs stays from one run to the next.
        .arg("--dir")
        .arg(bench.parent().unwrap().join("bench-data"))
        .args(args)
        .output()
        .unwrap();
    assert!(
        outcome.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    let json = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    (json, results)
}

/// The first figure whose name begins so.
fn figure(results: &serde_json::Value, name: &str) -> f64 {
    let figures = results["reports"][0]["figures"].as_array().unwrap();
    let found = figures
        .iter()
        .find(|figure| figure["name"].as_str().unwrap().starts_with(name));
    found.unwrap_or_else(|| panic!("no figure {name:?}"))["value"]
        .as_f64()
        .unwrap()
}

#[test]
fn contenders_are_compared_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = ["--sizes", "1024,65536", "--concurrency", "1,4"];
    let short = ["--seconds", "0.2", "--rounds", "1"];
    let (results, saved) = bench(
        folder.path(),
        &[&["compare"], sizes.as_slice(), &short].concat(),
    );
    for contender in ["Node, SQLite, batched", "Node, SQLite", "Cloakroom"] {
        for size in ["1 KiB", "64 KiB"] {
            for done in ["taken in", "delivered"] {
                let name = format!("{size}, 4 at once, {contender}: {done}");
                assert!(figure(&results, &name) > 0.0, "{name}");
            }
        }
    }
    assert!(figure(&results, "1 KiB, 1 at once, limit") > 0.0);
    let plots = folder.path().join("plots");
    let drawn = Command::new(env!("CARGO_BIN_EXE_cloakroom-bench"))
        .arg("plot")
        .arg(saved)
        .arg("--into")
        .arg(&plots)
        .output()
        .unwrap();
    assert!(drawn.status.success(), "{drawn:?}");
    let names = String::from_utf8(drawn.stdout).unwrap();
    assert_eq!(names.lines().count(), 9);
    for name in names.lines() {
        let svg = std::fs::read_to_string(name).unwrap();
        assert!(svg.contains("Cloakroom"), "{name}");
    }
}

#[test]
fn a_soak_is_watched_from_first_to_last() {
    let folder = tempfile::tempdir().unwrap();
    let short = ["--seconds", "3", "--warm-up", "1", "--window", "1"];
    let small = ["--keys", "50", "--webhooks", "200", "--rate", "100"];
    let (results, _) = bench(
        folder.path(),
        &[&["soak"], short.as_slice(), &small].concat(),
    );
    assert!((figure(&results, "webhooks") - 400.0).abs() < 0.5);
    assert!(figure(&results, "resident memory, last third") > 1.0);
    assert!(figure(&results, "file handles, last third") > 3.0);
    assert!(figure(&results, "POST to consumer, p99, last third") > 0.0);
}

#[test]
fn a_backlog_is_drained_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["backlog", "--events", "500", "--keys", "20"];
    let (results, _) = bench(folder.path(), &args);
    assert!(figure(&results, "drained, over HTTP and in order") > 0.0);
    assert!(figure(&results, "on disk, each") > 1_024.0);
}

#[test]
fn gaps_are_filled_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["gaps", "--streams", "50", "--deadline", "3"];
    let (results, _) = bench(folder.path(), &args);
    assert!(figure(&results, "filled: released") > 0.0);
    assert!(figure(&results, "skipped: released before the last gap was open") < 0.5);
}
