//! Payloads far larger than the memory that the server takes, and uploads that come to nothing.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use cloakroom_core::verify::SchemeName;
use sha2::{Digest as _, Sha256};

use crate::support::consumer::Consumer;
use crate::support::http::Request;
use crate::support::server::{HEX_SECRET, Server, assert_healthy};
use crate::support::webhook::{now, sign};
use crate::support::{files_below, hex, sha256, wait_until};

const MIB: usize = 1 << 20;
const LARGE: usize = 256 * MIB;
const MEMORY_MAX: u64 = 100_000_000;

fn config(consumer: &Consumer) -> String {
    format!(
        "\
sources:
  transfers:
    verify: {{ scheme: adyen, secrets: [env:HEX_SECRET] }}
    key: body:/data/id
    order: {{ kind: dense, at: body:/data/sequenceNumber, first: 1 }}
subscriptions:
  ledger:
    sources: [transfers]
    sink: {{ http: {{ url: \"{}\", secret: env:SECRET }} }}
    from: earliest
server: {{ allow_private_sinks: true }}
",
        consumer.url("/hooks")
    )
}

/// JSON of `size` bytes that tells its place at the start or at the end.
fn body(number: u64, size: usize, place_first: bool) -> Vec<u8> {
    let place = format!(r#""data":{{"id":"TR","sequenceNumber":{number}}}"#);
    let (head, tail) = match place_first {
        true => (format!(r#"{{{place},"padding":""#), "\"}".to_owned()),
        false => (r#"{"padding":""#.to_owned(), format!(r#"",{place}}}"#)),
    };
    let mut body = Vec::with_capacity(size);
    body.extend_from_slice(head.as_bytes());
    // Not all the same, or swapped blocks would not be noticed.
    let mut line = 0_u64;
    while body.len() < size - tail.len() {
        let left = size - tail.len() - body.len();
        let text = format!("{line:016x}");
        body.extend_from_slice(&text.as_bytes()[..left.min(16)]);
        line += 1;
    }
    body.extend_from_slice(tail.as_bytes());
    body
}

fn signed(body: &[u8]) -> Request<'_> {
    let headers = sign(SchemeName::Adyen, HEX_SECRET, "/", "", now(), body);
    Request::post("/in/transfers").headers(&headers)
}

fn claims(folder: &Path) -> PathBuf {
    folder.join("cloakroom-data/claims")
}

/// Path and query of a `dataref`.
fn path_of(dataref: &str, address: &str) -> String {
    let path = dataref.strip_prefix(&format!("http://{address}"));
    path.unwrap_or_else(|| panic!("{dataref} is not at {address}"))
        .to_owned()
}

#[test]
fn a_payload_larger_than_the_memory_comes_through_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    for (number, place_first) in [(1, true), (2, false)] {
        let body = body(number, LARGE, place_first);
        let hash = sha256(&body);
        let request = signed(&body).chunked(&body, 100_000);
        let answer = request.send(&server.address).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(answer.json()["status"], "accepted", "{}", answer.text());
        drop(body);

        let deliveries = consumer.wait_for(usize::try_from(number).unwrap());
        let event = deliveries.last().unwrap().event();
        assert_eq!(event["payloadsha256"], hash);
        assert_eq!(event["payloadsize"], LARGE.to_string());
        assert_eq!(event["partitionkey"], "TR");
        assert!(event["data"].is_null() && event["data_base64"].is_null());
        let path = path_of(event["dataref"].as_str().unwrap(), &server.address);
        assert_eq!(fetched(&server, &path), (LARGE, hash));
        let peak = server.peak_memory();
        assert!(peak < MEMORY_MAX, "the server took {peak} bytes of memory");
    }
    server.stop();
    assert_healthy(folder.path());
}

/// Size and hash of a claim, read piece by piece.
fn fetched(server: &Server, path: &str) -> (usize, String) {
    let mut answer = Request::get(path).open(&server.address).unwrap();
    assert_eq!(answer.status, 200);
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut piece = vec![0; MIB];
    loop {
        match answer.body.read(&mut piece).unwrap() {
            0 => return (size, hex(&hash.finalize())),
            read => {
                hash.update(&piece[..read]);
                size += read;
            }
        }
    }
}

#[test]
fn a_refused_payload_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    let before = files_below(&claims(folder.path()));
    for size in [1_000, 8 * MIB] {
        let (ours, theirs) = (body(1, size, true), body(2, size, true));
        for request in [
            signed(&theirs).body(&ours),
            signed(&theirs).chunked(&ours, MIB),
        ] {
            let answer = request.send(&server.address).unwrap();
            assert_eq!(answer.status, 401, "{}", answer.text());
        }
    }
    wait_until("everything is cleared away", || {
        files_below(&claims(folder.path())) == before
    });
    server.stop();
    let report = assert_healthy(folder.path());
    assert_eq!(report["totals"]["events"], 0);
    assert_eq!(report["totals"]["objects"], 0);
}

#[test]
fn a_sender_that_breaks_off_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let server = Server::start(folder.path(), &config(&consumer));
    let before = files_below(&claims(folder.path()));
    let body = body(1, 8 * MIB, true);
    for request in [signed(&body).body(&body), signed(&body).chunked(&body, MIB)] {
        let stream = request.begin(&server.address, 4 * MIB).unwrap();
        wait_until("the upload is under way", || {
            uploaded(folder.path()) >= 3 * MIB as u64
        });
        drop(stream);
        wait_until("everything is cleared away", || {
            files_below(&claims(folder.path())) == before
        });
    }
    // The whole of it is no duplicate of what broke off.
    let answer = signed(&body).body(&body).send(&server.address).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(consumer.wait_for(1).len(), 1);
}

#[test]
fn a_claim_s_url_outlives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let config = config(&consumer);
    let server = Server::start(folder.path(), &config);
    let address = server.address.clone();
    let bodies = [body(1, 1_000, true), body(2, MIB, false)];
    for body in &bodies {
        let answer = signed(body).body(body).send(&address).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let deliveries = consumer.wait_for(bodies.len());
    server.kill();

    let server = Server::start_at(folder.path(), &config, &address);
    for (delivery, body) in deliveries.iter().zip(&bodies) {
        let event = delivery.event();
        let path = path_of(event["dataref"].as_str().unwrap(), &address);
        assert_eq!(fetched(&server, &path), (body.len(), sha256(body)));
        let part = Request::get(&path).header("range", "bytes=100-299");
        let part = part.send(&address).unwrap();
        assert_eq!((part.status, &*part.body), (206, &body[100..300]));
        let forged = Request::get(&path.replace("expires=", "expires=9"));
        assert_eq!(forged.send(&address).unwrap().status, 403);
    }
}

#[test]
fn a_crash_during_an_upload_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let consumer = Consumer::start();
    let config = config(&consumer);
    let server = Server::start(folder.path(), &config);
    let before = files_below(&claims(folder.path()));
    let body = body(1, 8 * MIB, true);
    let request = signed(&body).chunked(&body, MIB);
    let mut stream = request.begin(&server.address, 4 * MIB).unwrap();
    wait_until("the upload is under way", || {
        uploaded(folder.path()) >= 3 * MIB as u64
    });
    server.kill();
    // The sender learns of it; whether at this write or at the next is the network's affair.
    let _ = stream.write_all(b"1\r\nx\r\n");

    let server = Server::start(folder.path(), &config);
    let left = uploaded(folder.path());
    assert_eq!(left, 0, "of the upload that was never finished");
    assert_eq!(
        objects(&files_below(&claims(folder.path()))),
        objects(&before)
    );
    assert_eq!(
        server.get("/v1/streams")["items"].as_array().unwrap().len(),
        0
    );
    server.stop();
    let report = assert_healthy(folder.path());
    assert_eq!(report["totals"]["events"], 0);
    assert_eq!(report["totals"]["objects"], 0);
}

/// How many bytes of unfinished uploads there are.
fn uploaded(folder: &Path) -> u64 {
    let files = files_below(&claims(folder).join("staging"));
    files.iter().map(|(_, size)| size).sum()
}

/// All files but segments, of which every run begins its own.
fn objects(files: &[(String, u64)]) -> Vec<&(String, u64)> {
    let files = files.iter();
    files
        .filter(|(path, _)| !path.contains("/segments/"))
        .collect()
}
