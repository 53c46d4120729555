//! Where one request ends and the next begins: one reading only, and never an event from half a request.

use std::cell::Cell;

use tempfile::TempDir;

use super::OPEN;
use super::wire::exchange;
use crate::support::server::{Server, assert_healthy};
use crate::support::wait_until;

/// A request to the open source with these header lines and this body.
fn post(headers: &str, body: &str) -> String {
    format!("POST /in/open HTTP/1.1\r\nhost: h\r\n{headers}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked\r\n", body)
}

/// A server, and how many events it should have by now.
struct Target {
    folder: TempDir,
    server: Server,
    accepted: Cell<usize>,
}

impl Target {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), OPEN);
        Self {
            folder,
            server,
            accepted: Cell::new(0),
        }
    }

    /// Sends `bytes`, and checks the answers and how many events came of it.
    fn check(&self, name: &str, bytes: impl AsRef<[u8]>, expected: &[u16]) {
        let found = exchange(&self.server.address, bytes.as_ref(), expected.len());
        assert_eq!(found, expected, "{name}");
        let accepted = expected.iter().filter(|status| **status == 202).count();
        self.accepted.set(self.accepted.get() + accepted);
        if accepted > 0 {
            wait_until(name, || self.released() >= self.accepted.get());
        }
        assert_eq!(self.released(), self.accepted.get(), "{name}: events");
    }

    /// Sends `bytes`, which are not all of a request, and goes away.
    fn check_cut(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let found = exchange(&self.server.address, bytes.as_ref(), 0);
        assert!(found.is_empty() || found == [400], "{name}: {found:?}");
    }

    fn released(&self) -> usize {
        if self.accepted.get() == 0 {
            let streams = self.server.get("/v1/streams");
            return streams["items"].as_array().unwrap().len();
        }
        let events = self.server.get("/v1/streams/open/all/events?limit=1000");
        events.as_array().unwrap().len()
    }

    /// Stops the server, and counts what it has stored.
    fn end(self) {
        self.server.stop();
        let report = assert_healthy(self.folder.path());
        assert_eq!(report["totals"]["events"], self.accepted.get());
    }
}

/// Every body below is another one, so that none is a duplicate.
#[test]
fn every_request_has_one_length() {
    let target = Target::start();
    let check = |name: &str, bytes: String, expected: &[u16]| target.check(name, bytes, expected);
    let length = |value: &str, body: &str| post(&format!("content-length: {value}\r\n"), body);

    check("as it should be", length("2", "a1"), &[202]);
    check(
        "twice the same length",
        post("content-length: 2\r\ncontent-length: 2\r\n", "a2"),
        &[202],
    );
    check(
        "two lengths",
        post("content-length: 2\r\ncontent-length: 3\r\n", "a3x"),
        &[400],
    );
    for value in [
        "+2",
        "-2",
        "0x2",
        "2,2",
        "2, 3",
        "2 2",
        "2.0",
        "1e0",
        "99999999999999999999",
        "",
    ] {
        check(value, length(value, "a4"), &[400]);
    }
    check(
        "space before the colon",
        post("content-length : 2\r\n", "a5"),
        &[400],
    );
    check(
        "a folded line",
        post("x: a\r\n b\r\ncontent-length: 2\r\n", "a6"),
        &[400],
    );
    check(
        "NUL in a value",
        post("x: a\0b\r\ncontent-length: 2\r\n", "a7"),
        &[400],
    );
    check(
        "CR in a value",
        post("x: a\rcontent-length: 9\r\ncontent-length: 2\r\n", "a8"),
        &[400],
    );
    check(
        "bare line feeds",
        length("2", "a9").replace("\r\n", "\n"),
        &[202],
    );
    target.check_cut("shorter than told", length("3", "b1"));
    check(
        "longer than told",
        length("2", "b2junk\r\n\r\n"),
        &[202, 400],
    );
    target.check_cut("cut in the head", "POST /in/open HTTP/1.1\r\nhost: h\r\n");
    check(
        "no length is no body, and nothing is no event twice",
        [post("", ""), post("", "")].concat(),
        &[202, 200],
    );
    target.end();
}

#[test]
fn chunks_are_read_exactly() {
    let target = Target::start();
    let check = |name: &str, bytes: String, expected: &[u16]| target.check(name, bytes, expected);

    check("as it should be", chunked("2\r\na1\r\n0\r\n\r\n"), &[202]);
    check(
        "extensions and trailers",
        chunked("2;x=\"y\"\r\na2\r\n0;z\r\ncontent-length: 7\r\n\r\n"),
        &[202],
    );
    for size in [
        "zz",
        "-2",
        "+2",
        "0x2",
        "2 2",
        "",
        "fffffffffffffffff",
        "2\u{b2}",
    ] {
        check(size, chunked(&format!("{size}\r\na3\r\n0\r\n\r\n")), &[400]);
    }
    check(
        "a chunk longer than told",
        chunked("2\r\na4x\r\n0\r\n\r\n"),
        &[400],
    );
    target.check_cut("a chunk that is cut", chunked("ff\r\na5"));
    target.check_cut("no last chunk", chunked("2\r\na6\r\n"));
    check(
        "an endless extension",
        chunked(&format!("2;{}\r\na7\r\n0\r\n\r\n", "x".repeat(50_000))),
        &[400],
    );
    check(
        "another coding",
        post("transfer-encoding: identity\r\ncontent-length: 2\r\n", "a8"),
        &[400],
    );
    check(
        "chunks that are not last",
        post("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        &[400],
    );
    check(
        "nearly chunked",
        post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        &[400],
    );
    let old = "POST /in/open HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    check("chunks in HTTP/1.0", old.to_owned(), &[400]);
    target.end();
}

/// Where a request has both a length and chunks, the chunks count and nothing more is read from that connection, as RFC 9112 says:
/// what a proxy took for the rest of a body is never a request.
#[test]
fn nothing_is_smuggled_past_a_length() {
    let target = Target::start();
    let hidden = "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n";
    for (number, headers) in [
        "content-length: LEN\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: LEN\r\n",
        "Content-Length: LEN\r\nTransfer-Encoding: Chunked\r\n",
    ]
    .iter()
    .enumerate()
    {
        let body = format!("1\r\n{number}\r\n0\r\n\r\n{hidden}");
        let headers = headers.replace("LEN", &body.len().to_string());
        target.check(&headers, post(&headers, &body), &[202]);
    }
    for trick in [
        "transfer-encoding : chunked",
        " transfer-encoding: chunked",
        "transfer-encoding\u{b}: chunked",
        "transfer_encoding: x\r\n chunked",
    ] {
        let headers = format!("content-length: 5\r\n{trick}\r\n");
        let bytes = post(&headers, &format!("0\r\n\r\n{hidden}"));
        target.check(trick, bytes, &[400]);
    }
    // With chunks only in a header of another name, the length counts.
    let other = post(
        "content-length: 5\r\ntransfer_encoding: chunked\r\n",
        &format!("0\r\n\r\n{hidden}"),
    );
    target.check("another header", other, &[202, 404]);
    target.end();
}

#[test]
fn a_path_leads_to_one_place_however_it_is_written() {
    let target = Target::start();
    let mut number = 0;
    let mut check = |path: &str, expected: u16| {
        number += 1;
        let body = format!("{number:04}");
        let bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\nconnection: close\r\n\r\n{body}"
        );
        target.check(path, bytes, &[expected]);
    };
    for path in [
        "/in/open",
        "/in/open?x=../..",
        "http://elsewhere.example/in/open",
        "http://h/in/open?a=b",
    ] {
        check(path, 202);
    }
    for path in [
        "/in/../in/open",
        "/in/./open",
        "/in//open",
        "//in/open",
        "/in/%2e%2e/in/open",
        "/in/..%2fopen",
        "/in/open%00",
        "/in/open%2f",
        "/in/open/",
        "/in/OPEN",
        "/in/open;x",
        "/in/..\\open",
        "/in/%5c..%5copen",
        "/in/%ff",
        "/in/\u{ff0e}\u{ff0e}",
        "/IN/open",
    ] {
        check(path, 404);
    }
    for path in ["in/open", "*", "", "/in/op\u{7f}en", "h:99999999/in/open"] {
        let bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let found = exchange(&target.server.address, bytes.as_bytes(), 1);
        assert!(
            found.len() == 1 && (400..500).contains(&found[0]),
            "{path}: {found:?}"
        );
    }
    for line in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /in/open HTTP/1.2\r\n\r\n",
        "POST /in/open\r\n\r\n",
        "\0\0\0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0",
    ] {
        let found = exchange(&target.server.address, line.as_bytes(), 0);
        assert!(
            found.iter().all(|status| (400..506).contains(status)),
            "{line:?}: {found:?}"
        );
    }
    target.end();
}
