//! What holds for all bodies, headers and schemes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Every preset, and `hmac` in several dresses.
fn schemes() -> Vec<Scheme> {
    let presets = SchemeName::ALL
        .into_iter()
        .filter(|name| *name != SchemeName::Hmac)
        .map(Scheme::new);
    let hmac = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .flat_map(|algorithm| {
            [Encoding::Hex, Encoding::Base64]
                .into_iter()
                .flat_map(move |encoding| {
                    let base = Scheme {
                        header: Some("X-Signature".into()),
                        algorithm: Some(algorithm),
                        encoding: Some(encoding),
                        ..Scheme::new(SchemeName::Hmac)
                    };
                    let prefixed = Scheme {
                        prefix: Some("v0=".into()),
                        signed: Some("v0:{url}:{body}!".into()),
                        ..base.clone()
                    };
                    let dated = Scheme {
                        signed: Some("{id}{method}{body}{timestamp}".into()),
                        timestamp: Some("header:X-Time".into()),
                        timestamp_unit: Some(TimestampUnit::Rfc3339),
                        id_header: Some("X-Id".into()),
                        ..base.clone()
                    };
                    let list = Scheme {
                        element: Some("s".into()),
                        signed: Some("{timestamp}.{body}".into()),
                        timestamp: Some("element:t".into()),
                        ..base.clone()
                    };
                    [base, prefixed, dated, list]
                })
        });
    presets.chain(hmac).collect()
}

/// Bytes that look like headers often enough to get past the first checks.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..80),
        "(v1|v1a|t|ts|h1|s|v0|sha256)[=,][A-Za-z0-9+/=]{0,90}([ ,;](v1|v1a|t|h1)[=,][A-Za-z0-9+/=]{0,90}){0,3}".prop_map(String::into_bytes),
        "[0-9]{0,20}".prop_map(String::into_bytes),
        Just(b"1700000000".to_vec()),
        "[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}".prop_map(String::into_bytes),
        "(sha256=|v0=)[0-9a-f]{64}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        scheme in prop::sample::select(schemes()),
        body in vec(any::<u8>(), 0..2000),
        cuts in vec(1..500_usize, 0..20),
        bend in any::<prop::sample::Index>(),
    ) {
        let request = signed(&scheme, &secret_for(scheme.scheme, 1), &body);
        prop_assert_eq!(request.verify(), Ok(()));

        let mut rest = body.as_slice();
        let mut chunks = Vec::new();
        for cut in cuts {
            let (chunk, tail) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        chunks.push(rest);
        prop_assert_eq!(request.verify_in(chunks.into_iter()), Ok(()));

        // A form is signed by its fields, so that not every other body is another form; a token and `none` sign nothing.
        let covers_bytes = !matches!(scheme.scheme, SchemeName::Twilio | SchemeName::Gitlab | SchemeName::None);
        if covers_bytes && !body.is_empty() {
            let mut bent = request.clone();
            bent.body[bend.index(body.len())] ^= 0x40;
            prop_assert_eq!(bent.verify(), Err(Rejection::SignatureMismatch));
        }
        if scheme.scheme != SchemeName::None {
            let forged = Request { secrets: vec![Secret::new(secret_for(scheme.scheme, 2))], ..request };
            prop_assert_eq!(forged.verify(), Err(Rejection::SignatureMismatch));
        }
    }

    #[test]
    fn no_garbage_verifies_or_panics(
        scheme in prop::sample::select(schemes()),
        values in vec(header_value(), 4),
        dated in any::<bool>(),
        body in vec(any::<u8>(), 0..100),
    ) {
        prop_assume!(scheme.scheme != SchemeName::None);
        let mut request = signed(&scheme, &secret_for(scheme.scheme, 1), b"another body");
        let content_type = request.headers[0].1.clone();
        for ((name, value), garbage) in request.headers.iter_mut().zip(values) {
            // Keep the timestamp in half of the cases, so that the signature itself is reached.
            if !(dated && name.contains("time")) {
                *value = garbage;
            }
        }
        request.headers.push(("content-type".into(), content_type));
        request.body = body;
        prop_assert!(request.verify().is_err());
    }
}
