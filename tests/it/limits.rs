//! How large a webhook may be: exactly as large as configured.

use crate::support::http::Request;
use crate::support::server::{Server, assert_healthy};

fn config(limit: usize) -> String {
    format!(
        "claims: {{ max_payload: {limit}B }}\nsources: {{ open: {{ verify: {{ scheme: none }} }} }}\n"
    )
}

/// One byte less than the limit and the limit are taken, one byte more is refused, whether the length is told or not.
fn check(limit: usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config(limit));
    for (size, status) in [(limit - 1, 202), (limit, 202), (limit + 1, 413)] {
        for chunk in [None, Some(size), Some(limit / 3)] {
            // Every body is another one, so that none is a duplicate.
            let mut body = vec![b'x'; size];
            body[..8].copy_from_slice(&(chunk.unwrap_or(0) as u64).to_be_bytes());
            let request = Request::post("/in/open");
            let request = match chunk {
                None => request.body(&body),
                Some(chunk) => request.chunked(&body, chunk),
            };
            let answer = request.send(&server.address).unwrap();
            assert_eq!(answer.status, status, "{size} in chunks of {chunk:?}");
            let is_problem = answer.header("content-type") == "application/problem+json";
            assert_eq!(is_problem, status == 413, "{}", answer.text());
        }
    }
    server.stop();
    let report = assert_healthy(folder.path());
    assert_eq!(report["totals"]["events"], 6);
}

#[test]
fn the_limit_is_exact_for_payloads_that_share_segments() {
    check(1_000);
}

#[test]
fn the_limit_is_exact_for_payloads_with_a_file_of_their_own() {
    check(300_000);
}
