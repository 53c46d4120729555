//! The demo keeps its promises, and would notice if it did not.

use serde_json::Value;

use crate::support::run;

fn summary(args: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(
        folder.path(),
        &[&["demo", "--speed", "10", "--json"], args].concat(),
    );
    let summary =
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err));
    (ran.code, summary)
}

fn failed(summary: &Value) -> Vec<&str> {
    let checks = summary["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

#[test]
fn the_demo_passes_whatever_chance_does() {
    for seed in ["1", "2", "3"] {
        let (code, summary) = summary(&["--seed", seed]);
        assert_eq!(
            failed(&summary),
            Vec::<&str>::new(),
            "seed {seed}: {summary:#}"
        );
        assert_eq!((code, &summary["ok"]), (Some(0), &Value::Bool(true)));
    }
}

#[test]
fn a_broken_promise_fails_the_demo() {
    for (sabotage, promise) in [
        ("lose", "nothing lost"),
        ("repeat", "nothing twice"),
        ("swap", "all in order"),
        ("alter", "payloads intact"),
        ("distrust", "nothing lost"),
        ("forge", "forged refused"),
    ] {
        let (code, summary) = summary(&["--sabotage", sabotage]);
        assert_eq!(code, Some(5), "{sabotage}: {summary:#}");
        assert!(
            failed(&summary).contains(&promise),
            "{sabotage}: {summary:#}"
        );
    }
}

#[test]
fn the_live_view_is_plain_text_where_nobody_watches() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["demo", "--speed", "10", "--seed", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(!ran.out.contains('\u{1b}'), "no escapes");
    for text in [
        "accepted, early",
        "duplicate",
        "refused, forged",
        "gap: ",
        "gap closed: ",
        "fetched",
        "all is as promised",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
}

#[test]
fn a_kept_directory_is_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let ran = crate::support::run_with(
        folder.path(),
        &["demo", "--speed", "10", "--keep", "--json"],
        &[("TMPDIR", folder.path().to_str().unwrap())],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let path = ran
        .err
        .split("kept: ")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let report = run(folder.path(), &["doctor", path, "--deep", "--json"]);
    assert_eq!(report.code, Some(0), "{}{}", report.out, report.err);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["totals"]["events"], 60);
    let told = run(folder.path(), &["doctor", path]);
    assert!(
        told.out.contains("60 events") && told.out.contains("nothing is lost"),
        "{}",
        told.out
    );
}
