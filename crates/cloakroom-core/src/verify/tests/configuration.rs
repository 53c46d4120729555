//! The configuration of schemes and its mistakes.

use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Scheme, String> {
    let scheme: Scheme = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    scheme.validate().map_err(|error| error.to_string())?;
    Ok(scheme)
}

#[test]
fn names_read_as_they_are_written() {
    for name in SchemeName::ALL {
        assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        assert_eq!(name.preset().name, name);
    }
    assert_eq!(
        parse("scheme: svix"),
        Ok(Scheme::new(SchemeName::StandardWebhooks))
    );
}

#[test]
fn tolerance_is_a_duration() {
    let scheme = parse("{ scheme: stripe, tolerance: 10m }").unwrap();
    assert_eq!(scheme.tolerance, Some(Duration::from_secs(600)));
    assert_eq!(serde_json::to_value(&scheme).unwrap()["tolerance"], "10m");
    for wrong in ["10", "m", "-1s", "1 m", "1w"] {
        let error = parse(&format!("{{ scheme: stripe, tolerance: '{wrong}' }}")).unwrap_err();
        assert!(error.contains("is no duration"), "{error}");
    }
    assert!(parse("{ scheme: stripe, tolerance: 0s }").is_err());
}

#[test]
fn mistakes_say_what_to_do() {
    let hmac = "scheme: hmac, header: X-Signature";
    let table = [
        (
            "scheme: stripe, header: X-Other",
            "`header` does not apply to the scheme `stripe`",
        ),
        (
            "scheme: github, tolerance: 5m",
            "`tolerance` does not apply to the scheme `github`",
        ),
        ("scheme: hmac", "the scheme `hmac` needs `header`"),
        (
            "scheme: hmac, header: 'X Signature'",
            "`header` is no header name",
        ),
        (
            &format!("{hmac}, signed: '{{timestamp}}.{{body}}'"),
            "`timestamp` must say where it is",
        ),
        (
            &format!("{hmac}, timestamp: 'header:X-Time'"),
            "must contain {timestamp}",
        ),
        (
            &format!("{hmac}, timestamp: X-Time, signed: '{{timestamp}}{{body}}'"),
            "`header:<name>` or `element:<name>`",
        ),
        (&format!("{hmac}, signed: '{{url}}'"), "must contain {body}"),
        (
            &format!("{hmac}, signed: '{{body}}{{body}}'"),
            "once, not twice",
        ),
        (
            &format!("{hmac}, signed: '{{payload}}'"),
            "unknown part `{payload}`",
        ),
        (&format!("{hmac}, signed: '{{body'"), "unknown part `{body`"),
        (&format!("{hmac}, signed: 'body}}'"), "unknown part `}`"),
        (
            &format!("{hmac}, signed: '{{id}}{{body}}'"),
            "`id_header` must say where it is",
        ),
        (
            &format!("{hmac}, element: v1, prefix: 'sha256='"),
            "exclude each other",
        ),
        (
            &format!("{hmac}, separator: ';'"),
            "`separator` needs `element`",
        ),
        (
            &format!("{hmac}, tolerance: 5m"),
            "`tolerance` needs `timestamp`",
        ),
        ("scheme: stripe, secrte: x", "secrte"),
    ];
    for (text, expected) in table {
        let error = parse(&format!("{{ {text} }}")).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn secrets_must_be_what_the_scheme_takes() {
    let check = |scheme, secrets: &[&str]| {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        Verifier::new(&Scheme::new(scheme), &secrets)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert!(check(SchemeName::Stripe, &[]).contains("needs at least one secret"));
    assert!(check(SchemeName::Stripe, &["a", " \n"]).contains("secret 2 is empty"));
    assert!(check(SchemeName::None, &["a"]).contains("takes no secrets"));
    assert!(check(SchemeName::Adyen, &["xyz"]).contains("secret 1 is not hexadecimal"));
    assert!(
        check(SchemeName::StandardWebhooks, &["whsec_!"])
            .contains("secret 1 is not `whsec_` and base64")
    );
    assert!(check(SchemeName::StandardWebhooks, &["whsec_"]).contains("secret 1 is empty"));
    assert!(check(SchemeName::StandardWebhooks, &["whpk_AAAA"]).contains("Ed25519 public key"));
    let weak = format!("whpk_{}=", "A".repeat(43));
    assert!(
        check(SchemeName::StandardWebhooks, &[&weak]).contains("Ed25519 public key"),
        "small order"
    );
    assert_eq!(
        check(SchemeName::StandardWebhooks, &["whsec_AAAA\n"]),
        "",
        "a file's last line break is no part of it"
    );
}

#[test]
fn hmac_describes_what_the_presets_do_and_more() {
    let hubspot = "{ scheme: hmac, header: X-HubSpot-Signature-v3, encoding: base64, \
                   signed: '{method}{url}{body}{timestamp}', timestamp: 'header:X-HubSpot-Request-Timestamp', \
                   timestamp_unit: milliseconds }";
    let request = signed(&parse(hubspot).unwrap(), "secret", b"{}");
    assert_eq!(request.verify(), Ok(()));
    assert!(matches!(
        request.at(301).verify(),
        Err(Rejection::Stale { .. })
    ));
    let elsewhere = Request {
        url: "https://hooks.example.com/other".into(),
        ..request
    };
    assert_eq!(elsewhere.verify(), Err(Rejection::SignatureMismatch));

    let list = "{ scheme: hmac, header: X-Sig, algorithm: sha512, element: h1, separator: ';', \
                signed: '{timestamp}:{body}', timestamp: 'element:ts', tolerance: 10s, secret_encoding: hex }";
    let request = signed(&parse(list).unwrap(), "00ff", b"{}");
    assert_eq!(request.verify(), Ok(()));
    assert!(matches!(
        request.at(11).verify(),
        Err(Rejection::Stale { .. })
    ));
    let undated = request.with("x-sig", format!("h1={}", "0".repeat(128)));
    assert!(
        undated
            .verify()
            .unwrap_err()
            .to_string()
            .contains("no timestamp")
    );

    // GitHub's preset in the words of `hmac`, on GitHub's own vector.
    let github = "{ scheme: hmac, header: X-Hub-Signature-256, prefix: 'sha256=' }";
    let request = signed(
        &parse(github).unwrap(),
        "It's a Secret to Everybody",
        b"Hello, World!",
    );
    let headers: &dyn Headers = &request.headers;
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(
        headers.get("x-hub-signature-256"),
        Some(expected.as_bytes())
    );
}

#[test]
fn the_schema_knows_every_key() {
    let schema = serde_json::to_value(schemars::schema_for!(Scheme)).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["scheme"]));
    assert_eq!(schema["properties"].as_object().unwrap().len(), 13);
}

#[test]
fn presets_name_their_source_and_use_selectors_of_the_configuration() {
    for preset in SchemeName::ALL.map(SchemeName::preset) {
        assert!(preset.docs.starts_with("https://"), "{preset:?}");
        for selector in preset.identity.iter().chain(&preset.event_type) {
            assert!(
                selector.starts_with("header:") || selector.starts_with("body:/"),
                "{selector}"
            );
        }
    }
}
