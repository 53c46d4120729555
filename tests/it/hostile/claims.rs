//! Claim URLs: only those that were given out, and only while they last.

use serde_json::Value;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::wait_until;

/// Takes a webhook in; path and query of its claim's URL.
fn claim(server: &Server, body: &str) -> String {
    let receipt = server.webhook("open", &Value::from(body));
    let id = receipt["id"].as_str().unwrap();
    let event = server.get(&format!("/v1/events/{id}"));
    let url = event["payload"]["dataref"]
        .as_str()
        .unwrap_or_else(|| panic!("{event}"));
    let path = url.strip_prefix(&format!("http://{}", server.address));
    path.unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn status(server: &Server, path: &str) -> u16 {
    let token = "Bearer anything";
    let request = Request::get(path).header("authorization", token);
    request.send(&server.address).unwrap().status
}

#[test]
fn a_claim_url_holds_as_it_is_and_in_no_other_form() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), super::OPEN);
    let (first, second) = (claim(&server, "one"), claim(&server, "two"));
    assert_eq!(status(&server, &first), 200);

    let bytes = first.as_bytes();
    for at in 1..bytes.len() {
        for other in [bytes[at] ^ 1, bytes[at] ^ 0x20, b'A', b'0', b'_'] {
            // Only what can stand in a URL, and is not what was there.
            let fits = other.is_ascii_alphanumeric() || b"-_./?&=".contains(&other);
            if other == bytes[at] || !fits {
                continue;
            }
            let mut bent = bytes.to_vec();
            bent[at] = other;
            let bent = String::from_utf8(bent).unwrap();
            let status = status(&server, &bent);
            assert!([400, 403, 404].contains(&status), "{bent}: {status}");
        }
    }
    let (path, query) = first.split_once('?').unwrap();
    let (other_path, other_query) = second.split_once('?').unwrap();
    let (expires, signature) = query.split_once('&').unwrap();
    let seconds = expires.strip_prefix("expires=").unwrap();
    for guess in [
        path.to_owned(),
        format!("{path}?"),
        format!("{path}?{expires}"),
        format!("{path}?{signature}"),
        format!("{path}?{other_query}"),
        format!("{other_path}?{query}"),
        format!("{path}?expires=9{seconds}&{signature}"),
        format!("{path}?expires=99999999999999999999&{signature}"),
        format!("{path}?expires=-1&{signature}"),
        format!("{path}?{expires}&signature="),
        format!("{path}?{expires}&{signature}AA"),
        format!("{path}?{expires}&{}", &signature[..signature.len() - 3]),
        format!("{path}?{expires}&{signature}%00"),
        format!("{path}%00?{query}"),
        format!("{path}/?{query}"),
        format!(
            "{path}/../{}?{query}",
            other_path.rsplit('/').next().unwrap()
        ),
        format!("/v1/claims/..%2f..%2fcloakroom.yaml?{query}"),
        format!("/v1/claims/%2e%2e?{query}"),
    ] {
        let status = status(&server, &guess);
        assert!([400, 403, 404].contains(&status), "{guess}: {status}");
    }
    // What others add to a URL on its way takes nothing away.
    assert_eq!(status(&server, &format!("{first}&utm_source=x")), 200);
    assert_eq!(status(&server, &second), 200);
    server.stop();
}

#[test]
fn a_claim_url_ends_and_another_server_knows_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        folder.path(),
        &format!("{}claims: {{ url_ttl: 1s }}\n", super::OPEN),
    );
    let url = claim(&server, "one");
    wait_until("the URL expires", || status(&server, &url) == 410);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), super::OPEN);
    let theirs = claim(&other, "one");
    // The same event has the same id on both, so only the keys keep them apart.
    assert_eq!(
        theirs.split_once('?').unwrap().0.len(),
        url.split_once('?').unwrap().0.len()
    );
    assert_eq!(status(&server, &theirs), 403);
    assert_eq!(status(&other, &theirs), 200);
    server.stop();
    other.stop();
}
