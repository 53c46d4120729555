//! Documents that are small to send and large to hold: flat memory and linear work.

use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};

const CONFIG: &str = r#"
claims: { inline_max: 256KiB }
sources:
  open: { verify: { scheme: none }, id: "header:webhook-id", key: "body:/id/x/y", type: "body:/type", order: { kind: sparse, at: "body:/n", hold: 1ms } }
subscriptions:
  picky:
    sources: [open]
    filter: { data: { a: { b: [ { wildcard: "*x*y*" }, { numeric: [ ">", 1 ] } ] } } }
    sink: { pull: { lease: 30s } }
"#;

const MIB: usize = 1 << 20;

/// Name and document. `id`, `type` and `n` stand last, so that everything before them has to be read.
fn bombs() -> Vec<(&'static str, String)> {
    let tail = r#""type":"t","n":1,"id":{"x":{"y":"k"}}}"#;
    let nested = |open: &str, close: &str, depth: usize| {
        format!(
            "{{\"a\":{}1{},{tail}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let member = |value: &str| format!("{{\"a\":{value},{tail}");
    vec![
        ("deep arrays", nested("[", "]", 100_000)),
        ("deep objects", nested("{\"b\":", "}", 100_000)),
        (
            "deep where it is looked into",
            format!("{{{tail}").replace("\"k\"", &"[".repeat(100_000)),
        ),
        ("never closed", "[".repeat(MIB)),
        ("a long number", member(&"9".repeat(MIB))),
        ("a long fraction", member(&format!("0.{}", "1".repeat(MIB)))),
        ("a huge exponent", member("1e999999999999999999")),
        ("a long string", member(&format!("\"{}\"", "x".repeat(MIB)))),
        (
            "escapes",
            member(&format!("\"{}\"", "\\u0041".repeat(MIB / 6))),
        ),
        (
            "one name again and again",
            format!("{{{}{tail}", "\"a\":{\"b\":\"x\"},".repeat(100_000)),
        ),
        (
            "many names",
            format!(
                "{{{}{tail}",
                (0..100_000)
                    .map(|n| format!("\"{n}\":0,"))
                    .collect::<String>()
            ),
        ),
        (
            "a wildcard's worst case",
            member(&format!("{{\"b\":\"{}\"}}", "x".repeat(200_000))),
        ),
        (
            "a long key",
            member("0").replace("\"k\"", &format!("\"{}\"", "k".repeat(MIB))),
        ),
        (
            "long order",
            member("0").replace("\"n\":1", &format!("\"n\":{}", "1".repeat(MIB))),
        ),
        (
            "brackets in a string",
            member(&format!("\"{}\"", "[{".repeat(MIB / 2))),
        ),
    ]
}

/// What the process has worked so far, in ticks of the system's clock (a hundred a second): a counter of work done, whatever else
/// the machine does.
fn work(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_document_costs_what_its_length_costs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG);
    let send = |id: &str, body: &str| {
        let request = Request::post("/in/open").header("content-type", "application/json");
        let answer = request
            .header("webhook-id", id)
            .body(body.as_bytes())
            .send(&server.address)
            .unwrap();
        assert_eq!(answer.status, 202, "{id}: {}", answer.text());
    };
    let plain = format!(
        r#"{{"a":"{}","type":"t","n":1,"id":{{"x":{{"y":"k"}}}}}}"#,
        "-".repeat(MIB)
    );
    for round in 0..3 {
        send(&format!("plain {round}"), &plain);
    }
    let memory = server.peak_memory();
    for (name, body) in bombs() {
        let before = work(&server);
        send(name, &body);
        server.get("/v1/subscriptions/picky/events?max=100");
        let worked = work(&server) - before;
        // A megabyte takes a debug build some tens of ticks; anything quadratic would take hours.
        assert!(worked < 1_000, "{name}: {worked} ticks");
    }
    // The documents lie in memory once or twice while they are judged, and not a hundred times.
    let grown = server.peak_memory().saturating_sub(memory);
    assert!(grown < 150 * MIB as u64, "{grown} bytes more");
    let quarantined = server.get("/v1/quarantine?limit=100")["items"]
        .as_array()
        .unwrap()
        .len();
    server.stop();
    let report = assert_healthy(folder.path());
    let events = usize::try_from(report["totals"]["events"].as_u64().unwrap()).unwrap();
    assert_eq!(events + quarantined, bombs().len() + 3);
    assert!(
        events > 8 && quarantined > 3,
        "{events} events, {quarantined} set aside"
    );
}

#[test]
fn the_api_reads_no_more_than_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), CONFIG);
    let post = |path: &str, body: &str| {
        let request = Request::post(path).header("content-type", "application/json");
        request
            .body(body.as_bytes())
            .send(&server.address)
            .map(|answer| answer.status)
    };
    let ack = "/v1/subscriptions/picky/ack";
    assert_eq!(post(ack, &"[".repeat(MIB)).unwrap(), 400);
    assert_eq!(
        post(ack, &format!("{{\"ids\":[{}]}}", "[".repeat(100_000))).unwrap(),
        400
    );
    let long = format!("{{\"ids\":[\"{}\"]}}", "x".repeat(3 * MIB));
    // The answer may be lost to a sender who still writes.
    assert!(post(ack, &long).is_ok_and(|status| status == 413) || post(ack, &long).is_err());
    assert_eq!(
        post(
            "/v1/subscriptions/picky/replay",
            r#"{"from":"earliest","from":"earliest"}"#
        )
        .unwrap(),
        400
    );
    server.stop();
}
