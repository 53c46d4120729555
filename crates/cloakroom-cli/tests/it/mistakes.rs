//! What is said when something is wrong: where, what, and what to do. Never a trace of the program's insides.

use std::net::TcpListener;
use std::path::Path;

use crate::support::{Ran, Server, run, run_with, shown};

/// Checks the exit code and the text, with what differs from run to run left out.
fn check(name: &str, code: i32, folder: &Path, ran: &Ran) {
    assert_eq!(ran.code, Some(code), "{name}: {}{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked") && !ran.err.contains("RUST_BACKTRACE"));
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&folder.display().to_string(), "[folder]");
    settings.add_filter(r"127\.0\.0\.1:[1-9]\d+", "127.0.0.1:[port]");
    settings.add_filter(r"process \d+", "process [pid]");
    settings.bind(|| insta::assert_snapshot!(format!("mistake_{name}"), shown(ran)));
}

fn folder_with(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cloakroom.yaml"), config).unwrap();
    folder
}

const WRONG: &str = "\
sources:
  transfers:
    verify: { scheme: standard-webhoks, secrets: [env:A] }
  shop:
    ordr: { kind: arrival }
subscriptions:
  billing:
    sources: [transfer]
    sink: { http: { url: \"ftp://x\" } }
";

#[test]
fn a_wrong_configuration_is_told_line_by_line() {
    let folder = folder_with(WRONG);
    let checked = run(folder.path(), &["config", "check"]);
    check("config_check", 5, folder.path(), &checked);
    let served = run(folder.path(), &["serve"]);
    check("serve_config", 3, folder.path(), &served);
    assert!(
        !folder.path().join("cloakroom-data").exists(),
        "nothing is touched"
    );
}

#[test]
fn a_configuration_with_warnings_is_valid() {
    let folder = folder_with("sources: { demo: {} }\n");
    let checked = run(folder.path(), &["config", "check"]);
    check("config_warnings", 0, folder.path(), &checked);
    let json = run(folder.path(), &["config", "check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["errors"], serde_json::json!([]));
}

#[test]
fn a_configuration_that_is_not_there_says_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    check(
        "no_config",
        3,
        folder.path(),
        &run(folder.path(), &["serve"]),
    );
    check(
        "no_key",
        1,
        folder.path(),
        &run(folder.path(), &["config", "explain", "sources.*.oder"]),
    );
}

#[test]
fn secrets_that_are_missing_are_all_named_and_none_is_shown() {
    let folder = folder_with(
        "\
sources:
  transfers: { verify: { scheme: standard-webhooks, secrets: [env:TRANSFERS_SECRET, file:/nonexistent/key] } }
  payouts: { verify: { scheme: adyen, secrets: [env:ADYEN_KEY] } }
  shop: { verify: { scheme: shopify, secrets: [aws-secret:shop] } }
server: { admin_token: env:ADMIN }
",
    );
    let ran = run_with(
        folder.path(),
        &["serve"],
        &[("ADYEN_KEY", "hunter2 is no hexadecimal")],
    );
    check("secrets", 3, folder.path(), &ran);
    assert!(!ran.err.contains("hunter2"));
}

#[test]
fn a_sink_that_cannot_work_is_refused_at_the_start() {
    let folder = folder_with(
        "\
sources: { demo: {} }
subscriptions:
  private: { sources: [demo], sink: { http: { url: \"http://10.0.0.1/hooks\" } } }
  audit: { sources: [demo], sink: { file: { path: /nonexistent/audit.ndjson } } }
",
    );
    check(
        "sinks",
        3,
        folder.path(),
        &run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]),
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = folder_with("sources: { demo: { verify: { scheme: none } } }\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(
        "port",
        6,
        folder.path(),
        &run(folder.path(), &["serve", "--listen", &address]),
    );
}

#[test]
fn a_data_directory_in_use_or_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        folder.path(),
        "sources: { demo: { verify: { scheme: none } } }\n",
        &[],
    );
    let second = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    check("data_dir_in_use", 6, folder.path(), &second);
    check(
        "doctor_in_use",
        6,
        folder.path(),
        &run(folder.path(), &["doctor", "cloakroom-data"]),
    );
    assert!(server.running.stop().success());
    std::fs::create_dir(folder.path().join("photos")).unwrap();
    std::fs::write(folder.path().join("photos/cat.jpg"), "meow").unwrap();
    let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", "photos"];
    check(
        "data_dir_foreign",
        6,
        folder.path(),
        &run(folder.path(), &args),
    );
}

#[test]
fn a_server_that_is_not_there_is_told_from_one_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}");
    check(
        "unreachable",
        4,
        folder.path(),
        &run(folder.path(), &["streams", "list", "--url", &url]),
    );
    let target = format!("{url}/in/demo");
    let sent = run(folder.path(), &["send", &target, "--scheme", "none"]);
    assert_eq!(sent.code, Some(4), "{}", sent.err);
    check(
        "no_url",
        2,
        folder.path(),
        &run(folder.path(), &["streams", "list", "--url", "nonsense"]),
    );
    let config =
        "sources: { demo: { verify: { scheme: none } } }\nserver: { admin_token: env:ADMIN }\n";
    let server = Server::start(folder.path(), config, &[("ADMIN", "let me in")]);
    let args = ["streams", "list", "--url", &server.url];
    check("no_token", 1, folder.path(), &run(folder.path(), &args));
    let let_in = run_with(
        folder.path(),
        &args,
        &[("CLOAKROOM_ADMIN_TOKEN", "let me in")],
    );
    assert_eq!(let_in.code, Some(0), "{}", let_in.err);
}

#[test]
fn a_command_line_that_makes_no_sense_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("usage_command", vec!["serv"]),
        (
            "usage_scheme",
            vec!["send", "http://127.0.0.1:1/in/x", "--scheme", "strip"],
        ),
        ("usage_secret", vec!["send", "http://127.0.0.1:1/in/x"]),
        (
            "usage_literal_secret",
            vec!["send", "http://127.0.0.1:1/in/x", "--secret", "hunter2"],
        ),
        (
            "usage_hmac",
            vec![
                "send",
                "http://127.0.0.1:1/in/x",
                "--scheme",
                "hmac",
                "--secret",
                "env:X",
            ],
        ),
        (
            "usage_share",
            vec!["send", "http://127.0.0.1:1/in/x", "--loss", "2"],
        ),
        ("usage_stream", vec!["streams", "show", "transfers"]),
        ("usage_events", vec!["demo", "--events", "3"]),
    ] {
        let ran = run(folder.path(), &args);
        check(name, 2, folder.path(), &ran);
        assert!(!ran.err.contains("hunter2"), "{name}: a secret is shown");
    }
}
