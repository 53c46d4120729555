//! Signature headers of every scheme.
//!
//! Input: the scheme as JSON on one line, headers as `name: value` up to an empty line, the body. The secret is made here, from
//! nothing in the input: whatever verifies was forged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Verifier, sign};

use crate::{line, text_line};

type Headers = Vec<(String, Vec<u8>)>;

const URL: &str = "https://hooks.example/in/shop?x=1";
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The target.
pub fn run(data: &[u8]) {
    let Some((scheme, rest)) = text_line(data) else {
        return;
    };
    let Ok(scheme) = serde_json::from_str::<Scheme>(scheme) else {
        return;
    };
    let Some((verifier, secret)) = verifier(&scheme) else {
        return;
    };
    let (headers, body) = headers(rest);
    if scheme.scheme == SchemeName::None {
        assert!(
            accepts(&verifier, &headers, body),
            "`none` takes everything"
        );
        return;
    }
    assert!(
        !accepts(&verifier, &headers, body),
        "a forgery was accepted"
    );
    bend(&scheme, &verifier, &secret, headers, body);
}

/// A request that is signed, with the input's headers before its own.
fn bend(scheme: &Scheme, verifier: &Verifier, secret: &Secret, headers: Headers, body: &[u8]) {
    let mut genuine: Headers = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .take(1)
        .cloned()
        .collect();
    let head = RequestHead {
        method: "POST",
        url: URL,
        headers: &genuine,
    };
    let Ok(signature) = sign(scheme, secret, &head, "evt_1", NOW, body) else {
        return;
    };
    genuine.extend(
        signature
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes())),
    );
    assert!(
        accepts(verifier, &genuine, body),
        "what was signed is not accepted"
    );
    // A form is signed by its fields, and a token signs nothing.
    if matches!(scheme.scheme, SchemeName::Twilio | SchemeName::Gitlab) {
        return;
    }
    let bent = [body, b"!"].concat();
    assert!(
        !accepts(verifier, &genuine, &bent),
        "a longer body was accepted"
    );
    let mixed = [headers, genuine].concat();
    assert!(
        !accepts(verifier, &mixed, &bent),
        "a longer body was accepted with headers put before"
    );
}

fn accepts(verifier: &Verifier, headers: &Headers, body: &[u8]) -> bool {
    let head = RequestHead {
        method: "POST",
        url: URL,
        headers,
    };
    let Ok(mut verification) = verifier.begin(&head, NOW) else {
        return false;
    };
    body.chunks(7).for_each(|chunk| verification.update(chunk));
    verification.finish().is_ok()
}

/// The scheme's verifier with a secret written as the scheme wants it.
fn verifier(scheme: &Scheme) -> Option<(Verifier, Secret)> {
    let key = b"never a part of any input, 32 b.";
    let spellings = [
        String::new(),
        hex(key),
        format!("whsec_{}", STANDARD.encode(key)),
        STANDARD.encode(key),
    ];
    spellings.into_iter().find_map(|text| {
        let secret = Secret::new(text.clone());
        let secrets = if text.is_empty() {
            vec![]
        } else {
            vec![secret.clone()]
        };
        Some((Verifier::new(scheme, &secrets).ok()?, secret))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn headers(mut rest: &[u8]) -> (Headers, &[u8]) {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (first, after) = line(rest);
        rest = after;
        let Some(colon) = first.iter().position(|byte| *byte == b':') else {
            break;
        };
        let name = String::from_utf8_lossy(&first[..colon]).into_owned();
        headers.push((name, first[colon + 1..].to_vec()));
    }
    (headers, rest)
}
