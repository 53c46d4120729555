//! Every signature scheme, from the provider's signature to the receipt.

use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::SchemeName;

use crate::support::http::{Answer, Request};
use crate::support::server::{HEX_SECRET, SECRET, Server, TEXT_SECRET, cloakroom};
use crate::support::webhook::{now, sign};

const OTHER_SECRET: &str = "whsec_b3RoZXIgc2VjcmV0IG9mIDI0IGJ5dGVz";
const PUBLIC: &str = "https://hooks.example";

/// The schemes that sign, with a secret as each writes it, and another one.
const SCHEMES: [(SchemeName, &str, &str, &str); 11] = [
    (SchemeName::StandardWebhooks, "SECRET", SECRET, OTHER_SECRET),
    (SchemeName::Stripe, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Github, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Shopify, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Bigcommerce, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Slack, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Adyen, "HEX_SECRET", HEX_SECRET, "00ff00ff"),
    (SchemeName::Twilio, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Square, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Paddle, "TEXT_SECRET", TEXT_SECRET, "other"),
    (SchemeName::Gitlab, "TEXT_SECRET", TEXT_SECRET, "other"),
];

fn config() -> String {
    let mut text = format!("server: {{ public_url: \"{PUBLIC}\" }}\nsources:\n");
    for (scheme, variable, ..) in SCHEMES {
        text.push_str(&format!(
            "  {scheme}: {{ verify: {{ scheme: {scheme}, secrets: [env:{variable}] }} }}\n"
        ));
    }
    text.push_str("  gitlab-signed: { verify: { scheme: gitlab, secrets: [env:SECRET] } }\n");
    text
}

/// A body as the provider would send it, with the event's id where the provider puts it.
fn body(scheme: SchemeName, id: &str) -> Vec<u8> {
    match scheme {
        SchemeName::Twilio => format!("CallSid={id}&CallStatus=busy&Empty=").into_bytes(),
        _ => format!(r#"{{"id":"{id}","event_id":"{id}","type":"made"}}"#).into_bytes(),
    }
}

struct Sender<'a> {
    server: &'a Server,
    source: &'a str,
    scheme: SchemeName,
}

impl Sender<'_> {
    fn signed(&self, secret: &str, id: &str, at: Timestamp) -> Vec<(String, String)> {
        let url = format!("{PUBLIC}/in/{}", self.source);
        sign(self.scheme, secret, &url, id, at, &body(self.scheme, id))
    }

    fn send(&self, headers: &[(String, String)], body: &[u8]) -> Answer {
        let request = Request::post(&format!("/in/{}", self.source)).headers(headers);
        request.body(body).send(&self.server.address).unwrap()
    }

    /// Taken, known when it comes again, and refused when anything about it is wrong.
    fn check(&self, right: &str, wrong: &str) {
        let source = self.source;
        let body = body(self.scheme, "1");
        let headers = self.signed(right, "1", now());
        let first = self.send(&headers, &body);
        assert_eq!(first.status, 202, "{source}: {}", first.text());
        assert_eq!(first.json()["status"], "accepted", "{source}");

        let again = self.send(&headers, &body);
        assert_eq!(again.status, 200, "{source}: {}", again.text());
        assert_eq!(again.json()["status"], "duplicate", "{source}");
        assert_eq!(again.json()["id"], first.json()["id"], "{source}");

        let forged = self.send(&self.signed(wrong, "1", now()), &body);
        assert_refused(&forged, source);
        let unsigned = self.send(&[], &body);
        assert_refused(&unsigned, source);
        // A plain token says nothing about the body.
        if source != "gitlab" {
            let changed = self::body(self.scheme, "2");
            assert_refused(&self.send(&headers, &changed), source);
        }
    }
}

fn assert_refused(answer: &Answer, source: &str) {
    assert_eq!(answer.status, 401, "{source}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[test]
fn every_scheme_takes_the_right_secret_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config());
    for (scheme, _, right, wrong) in SCHEMES {
        let sender = Sender {
            server: &server,
            source: scheme.as_str(),
            scheme,
        };
        sender.check(right, wrong);
    }
    let signed = Sender {
        server: &server,
        source: "gitlab-signed",
        scheme: SchemeName::Gitlab,
    };
    signed.check(SECRET, OTHER_SECRET);
    assert_eq!(
        server.get("/v1/streams")["items"].as_array().unwrap().len(),
        12
    );
}

#[test]
fn a_stale_timestamp_is_refused_although_the_signature_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &config());
    let mut stale = 0;
    for (scheme, _, right, _) in SCHEMES {
        let Some(tolerance) = scheme.preset().tolerance() else {
            continue;
        };
        // A plain token has no timestamp.
        if scheme == SchemeName::Gitlab {
            continue;
        }
        let sender = Sender {
            server: &server,
            source: scheme.as_str(),
            scheme,
        };
        let at = now().before(tolerance * 2);
        let answer = sender.send(&sender.signed(right, "1", at), &body(scheme, "1"));
        assert_refused(&answer, scheme.as_str());
        stale += 1;
    }
    assert_eq!(stale, 5);
}

#[test]
fn the_send_command_signs_for_every_scheme() {
    let folder = tempfile::tempdir().unwrap();
    // `send` signs the URL that it sends to.
    let config = config().replace(&format!("server: {{ public_url: \"{PUBLIC}\" }}\n"), "");
    let server = Server::start(folder.path(), &config);
    for (scheme, variable, ..) in SCHEMES {
        let url = format!("http://{}/in/{scheme}", server.address);
        let secret = format!("env:{variable}");
        let mut args = vec![
            "send",
            &url,
            "--scheme",
            scheme.as_str(),
            "--secret",
            &secret,
        ];
        if scheme == SchemeName::Twilio {
            args.extend(["--body", "CallSid=1&CallStatus=busy"]);
            args.extend(["--content-type", "application/x-www-form-urlencoded"]);
        }
        let output = cloakroom(folder.path()).args(&args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{scheme}: {text}{errors}");
        assert!(text.contains("accepted"), "{scheme}: {text}{errors}");
    }
}
