//! What the help says.

use crate::support::run;

#[test]
fn the_help_of_every_command_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("help", vec!["--help"]),
        ("serve", vec!["serve", "--help"]),
        ("demo", vec!["demo", "--help"]),
        ("send", vec!["send", "--help"]),
        ("listen", vec!["listen", "--help"]),
        ("events", vec!["events", "tail", "--help"]),
        ("streams", vec!["streams", "list", "--help"]),
        ("parked", vec!["parked", "--help"]),
        ("quarantine", vec!["quarantine", "release", "--help"]),
        ("dead_letters", vec!["dead-letters", "redrive", "--help"]),
        ("replay", vec!["replay", "--help"]),
        ("config", vec!["config", "--help"]),
        ("cost", vec!["cost", "--help"]),
        ("doctor", vec!["doctor", "--help"]),
    ] {
        let ran = run(folder.path(), &args);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
        insta::assert_snapshot!(format!("help_{name}"), ran.out);
    }
}

#[test]
fn completions_are_scripts_of_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef cloakroom"),
        ("fish", "complete -c cloakroom"),
    ] {
        let ran = run(folder.path(), &["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.out.contains(word), "{shell}");
    }
}

#[test]
fn the_schema_is_json_and_a_key_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let schema = run(folder.path(), &["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert!(schema["properties"]["sources"].is_object());
    let explained = run(
        folder.path(),
        &["config", "explain", "sources.*.order.gap.after"],
    );
    assert!(explained.out.contains("default: 1m"), "{}", explained.out);
    let json = run(
        folder.path(),
        &["config", "explain", "sources.*.order.gap.after", "--json"],
    );
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["default"], "1m");
}

/// What the documentation shows is what the command prints.
#[test]
fn the_documented_estimate_is_the_one_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/cost.md")).unwrap();
    for args in [
        vec![],
        vec!["--events", "100M", "--together", "10", "--above", "8KiB"],
    ] {
        let shown = [vec!["cost"], args].concat();
        let ran = run(folder.path(), &shown);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let documented = format!("$ cloakroom {}\n{}", shown.join(" "), ran.out);
        assert!(
            page.contains(&documented),
            "docs/cost.md lacks:\n{documented}"
        );
    }
    let json = run(folder.path(), &["cost", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let lines = json["lines"].as_array().unwrap();
    let sum: f64 = lines
        .iter()
        .map(|line| line["small_lane"].as_f64().unwrap())
        .sum();
    let total = json["totals"][0]["month"].as_f64().unwrap();
    assert!((sum - total).abs() < 1e-9);
}

#[test]
fn an_estimate_takes_what_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = "
sources: { orders: { verify: { scheme: standard-webhooks, secrets: [env:A, env:B] } } }
claims: { above: 8KiB }
subscriptions:
  one: { sources: [orders], sink: { sqs-fifo: { queue: one.fifo } } }
  two: { sources: [orders], sink: { eventbridge: { bus: events } } }
";
    std::fs::write(folder.path().join("c.yaml"), config).unwrap();
    let ran = run(folder.path(), &["cost", "--config", "c.yaml", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let quantity = |item: &str| {
        let lines = json["lines"].as_array().unwrap().iter();
        let line = lines.clone().find(|line| line["item"] == item);
        line.map(|line| line["quantity"].as_f64().unwrap())
    };
    assert_eq!(quantity("secrets"), Some(2.0));
    assert_eq!(quantity("messages to consumers"), Some(1e6));
    assert_eq!(quantity("events to a bus"), Some(1e6));
    assert_eq!(quantity("PUT"), None);
    for (args, text) in [
        (vec!["--size", "1KB:10%"], "10.0%"),
        (vec!["--events", "many"], "2.5M"),
        (vec!["--config", "missing.yaml"], "missing.yaml"),
        (vec!["--prices", "missing.json"], "missing.json"),
        (vec!["--prices", "c.yaml"], "c.yaml"),
    ] {
        let ran = run(folder.path(), &[vec!["cost"], args].concat());
        assert_ne!(ran.code, Some(0));
        assert!(ran.err.contains(text), "{}", ran.err);
    }
}
