//! Senders that take their time, and connections that do nothing.

use std::time::Duration;

use super::wire::{Wire, statuses};
use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};
use crate::support::wait_until;

/// Between two bytes of a slow sender.
const PAUSE: Duration = Duration::from_millis(20);

fn start(folder: &std::path::Path, limits: &str) -> Server {
    let config = format!("{}server: {{ {limits} }}\n", super::OPEN);
    Server::start(folder, &config)
}

/// One byte after the other, until the server has had enough.
fn drip(wire: &mut Wire, byte: u8) {
    wait_until("the server has enough", || {
        wire.heard_within(PAUSE) || !wire.write(&[byte])
    });
}

#[test]
fn slow_heads_and_idle_connections_are_closed_and_nobody_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), "header_timeout: 300ms");
    let mut crowd: Vec<_> = (0..100).map(|_| Wire::open(&server.address)).collect();
    for (number, wire) in crowd.iter_mut().enumerate() {
        // A third says nothing at all.
        if number % 3 > 0 {
            assert!(wire.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\nx: "));
        }
    }
    assert_eq!(
        Request::get("/healthz")
            .send(&server.address)
            .unwrap()
            .status,
        200
    );
    // Bytes that trickle in do not win any time.
    drip(&mut crowd[1], b'x');
    for wire in crowd {
        let heard = statuses(&wire.listen());
        assert!(heard.is_empty() || heard == [408], "{heard:?}");
    }
    let mut idle = Wire::open(&server.address);
    assert!(idle.write(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n"));
    assert_eq!(statuses(&idle.listen()), [200]);
    server.stop();
}

#[test]
fn slow_bodies_end_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), "read_timeout: 10s, body_timeout: 300ms");
    for framing in ["content-length: 1000000", "transfer-encoding: chunked"] {
        let mut wire = Wire::open(&server.address);
        let head = format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n");
        assert!(wire.write(head.as_bytes()));
        // Each byte is in time; all of them are not. As a chunk's size it is an ever longer number.
        drip(&mut wire, b'0');
        wire.half_close();
        let heard = statuses(&wire.listen());
        assert!(heard == [408] || heard == [400], "{framing}: {heard:?}");
    }
    server.stop();
    let server = start(folder.path(), "read_timeout: 200ms, body_timeout: 1h");
    let mut silent = Wire::open(&server.address);
    assert!(silent.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhal"));
    wait_until("an answer", || silent.heard_within(PAUSE));
    silent.half_close();
    assert_eq!(statuses(&silent.listen()), [408]);
    assert!(
        server.get("/v1/streams")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    server.stop();
    let report = assert_healthy(folder.path());
    assert_eq!(report["totals"]["events"], 0);
}

#[test]
fn connections_are_counted_and_those_too_many_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), "max_connections: 8, header_timeout: 1h");
    let places: Vec<_> = (0..8).map(|_| Wire::open(&server.address)).collect();
    let refused = Request::get("/healthz").send(&server.address);
    // The refusal may be lost to a sender who still writes.
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 503));
    drop(places);
    wait_until("there is room again", || {
        let answer = Request::get("/healthz").send(&server.address);
        answer.is_ok_and(|answer| answer.status == 200)
    });
    server.stop();
}

#[test]
fn heads_have_a_largest_size() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), "header_timeout: 1h");
    let many: String = (0..200).map(|number| format!("x{number}: y\r\n")).collect();
    // The server looks at the size between two reads, so what is only just too long may have come whole.
    let long = format!("x: {}\r\n", "y".repeat(1_000_000));
    let path = "z".repeat(1_000_000);
    for head in [
        format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{many}content-length: 0\r\n\r\n"),
        format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{long}content-length: 0\r\n\r\n"),
        format!("POST /in/{path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut wire = Wire::open(&server.address);
        // Not everything is read, and the answer may be lost to a sender who still writes.
        wire.write(head.as_bytes());
        wire.half_close();
        let heard = statuses(&wire.listen());
        assert!(
            heard.iter().all(|status| [414, 431, 400].contains(status)),
            "{heard:?}"
        );
    }
    assert!(
        server.get("/v1/streams")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    server.stop();
}
