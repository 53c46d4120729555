//! Every published and generated vector, and every way to bend it.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    source: String,
    scheme: SchemeName,
    secret: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
    now: i64,
}

const FILES: [&str; 3] = [
    include_str!("../../../vectors/published.json"),
    include_str!("../../../vectors/python.json"),
    include_str!("../../../vectors/node.json"),
];

/// The headers that carry a signature or what it covers.
const COVERED: [&str; 15] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "stripe-signature",
    "x-hub-signature-256",
    "x-shopify-hmac-sha256",
    "x-slack-signature",
    "x-slack-request-timestamp",
    "hmacsignature",
    "x-twilio-signature",
    "x-square-hmacsha256-signature",
    "paddle-signature",
];

fn all() -> Vec<(String, Request)> {
    let vectors = FILES
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Vector>>(file).unwrap());
    let requests = vectors.map(|vector| {
        assert!(vector.method == "POST" && !vector.source.is_empty());
        let headers = vector
            .headers
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes()))
            .collect();
        let request = Request {
            scheme: Scheme::new(vector.scheme),
            secrets: vec![Secret::new(vector.secret)],
            url: vector.url,
            headers,
            body: vector.body.into_bytes(),
            now: Timestamp::from_secs(vector.now),
        };
        (vector.name, request)
    });
    requests.collect()
}

fn covered(request: &Request) -> Vec<String> {
    let names = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase());
    names
        .filter(|name| COVERED.contains(&name.as_str()))
        .collect()
}

fn wrong_secret(request: &Request) -> Secret {
    let bytes = request.secrets[0].expose();
    if bytes.starts_with(b"whsk_") {
        Secret::new(format!(
            "whsk_{}",
            base64::Engine::encode(&secret::BASE64, [7; 32])
        ))
    } else if bytes.starts_with(b"whsec_") {
        Secret::new(secret_for(SchemeName::StandardWebhooks, 7))
    } else {
        Secret::new(secret_for(request.scheme.scheme, 7))
    }
}

#[test]
fn every_signing_provider_has_vectors() {
    for scheme in SchemeName::ALL {
        let count = all()
            .iter()
            .filter(|(_, request)| request.scheme.scheme == scheme)
            .count();
        let unsigned = matches!(scheme, SchemeName::None | SchemeName::Hmac);
        assert_eq!(count == 0, unsigned, "{scheme} has {count} vectors");
    }
}

#[test]
fn vectors_are_accepted_however_they_are_cut() {
    for (name, request) in all() {
        assert_eq!(request.verify(), Ok(()), "{name}");
        assert_eq!(
            request.verify_in(request.body.chunks(1)),
            Ok(()),
            "{name}, byte by byte"
        );
        for at in 0..=request.body.len() {
            let (left, right) = request.body.split_at(at);
            assert_eq!(
                request.verify_in([left, &[], right].into_iter()),
                Ok(()),
                "{name}, cut at {at}"
            );
        }
    }
}

#[test]
fn the_second_secret_of_a_rotation_is_as_good_as_the_first() {
    for (name, mut request) in all() {
        let wrong = wrong_secret(&request);
        request.secrets.insert(0, wrong.clone());
        assert_eq!(request.verify(), Ok(()), "{name}");
        request.secrets = vec![wrong];
        assert!(request.verify().is_err(), "{name}: forged");
    }
}

#[test]
fn a_tampered_body_is_refused() {
    for (name, request) in all() {
        for at in 0..request.body.len() {
            let mut bent = request.clone();
            bent.body[at] ^= 1;
            assert_eq!(
                bent.verify(),
                Err(Rejection::SignatureMismatch),
                "{name}, byte {at}"
            );
        }
        let mut longer = request.clone();
        longer.body.push(b'x');
        assert_eq!(
            longer.verify(),
            Err(Rejection::SignatureMismatch),
            "{name}, one more byte"
        );
        let mut empty = request.clone();
        empty.body.clear();
        assert_eq!(
            empty.verify(),
            Err(Rejection::SignatureMismatch),
            "{name}, emptied"
        );
    }
}

#[test]
fn a_tampered_header_is_refused() {
    // Where there are several signatures, most may be wrong.
    for (name, request) in all()
        .into_iter()
        .filter(|(name, _)| !name.contains("several"))
    {
        for header in covered(&request) {
            let head: &dyn Headers = &request.headers;
            let value = head.get(&header).unwrap().to_vec();
            for at in 0..value.len() {
                let mut bent = value.clone();
                bent[at] ^= 1;
                assert!(
                    request.with(&header, bent).verify().is_err(),
                    "{name}, {header}, byte {at}"
                );
            }
        }
    }
}

#[test]
fn a_missing_or_empty_header_is_named() {
    for (name, request) in all() {
        assert!(!covered(&request).is_empty(), "{name}");
        for header in covered(&request) {
            for bent in [request.without(&header), request.with(&header, "  ")] {
                let rejection = bent.verify().unwrap_err();
                assert!(
                    matches!(rejection, Rejection::MissingHeader { .. }),
                    "{name}, {header}: {rejection}"
                );
            }
        }
    }
}

#[test]
fn a_malformed_header_is_named() {
    for (name, request) in all() {
        for header in covered(&request)
            .into_iter()
            .filter(|name| !name.ends_with("-id"))
        {
            for value in [
                &b"\xff\xfe"[..],
                b"!",
                b"v1,",
                b"=",
                b"1e9",
                b"-1",
                b"99999999999999999999",
            ] {
                let rejection = request.with(&header, value).verify().unwrap_err();
                assert!(
                    matches!(rejection, Rejection::MalformedHeader { .. }),
                    "{name}, {header}: {rejection}"
                );
            }
        }
    }
}

#[test]
fn a_tampered_url_is_refused_where_it_is_signed() {
    for (name, request) in all() {
        let is_signed = matches!(
            request.scheme.scheme,
            SchemeName::Twilio | SchemeName::Square
        );
        let bent = Request {
            url: format!("{}x", request.url),
            ..request
        };
        assert_eq!(bent.verify().is_err(), is_signed, "{name}");
    }
}

#[test]
fn timestamps_hold_for_the_tolerance_and_no_longer() {
    for (name, request) in all() {
        let Some(tolerance) = request.scheme.scheme.preset().tolerance() else {
            assert_eq!(
                request.at(1_000_000).verify(),
                Ok(()),
                "{name}: nothing dates it"
            );
            continue;
        };
        let seconds = i64::try_from(tolerance.as_secs()).unwrap();
        assert_eq!(request.at(seconds).verify(), Ok(()), "{name}");
        assert_eq!(request.at(-seconds).verify(), Ok(()), "{name}");
        let stale = request.at(seconds + 1).verify().unwrap_err();
        assert!(matches!(stale, Rejection::Stale { .. }), "{name}: {stale}");
        let future = request.at(-seconds - 1).verify().unwrap_err();
        assert!(
            matches!(future, Rejection::Future { .. }),
            "{name}: {future}"
        );
        let mut lenient = request.at(seconds + 1);
        lenient.scheme.tolerance = Some(tolerance * 2);
        assert_eq!(lenient.verify(), Ok(()), "{name}: configured");
    }
}
