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
