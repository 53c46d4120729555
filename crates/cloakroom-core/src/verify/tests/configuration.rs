//! The configuration of schemes and its mistakes.

use super::*;
use crate::select::Selector;

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
    assert_eq!(scheme.tolerance, Some(DurationText::from_secs(600)));
    assert_eq!(serde_json::to_value(&scheme).unwrap()["tolerance"], "10m");
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
            "`X Signature` does not name a header",
        ),
        (
            &format!("{hmac}, signed: '{{timestamp}}.{{body}}'"),
            "`signed` has `{timestamp}`",
        ),
        (
            &format!("{hmac}, timestamp: 'header:X-Time'"),
            "a timestamp that is not signed",
        ),
        (
            &format!("{hmac}, timestamp: X-Time, signed: '{{timestamp}}{{body}}'"),
            "`header:<name>` or `element:<name>`",
        ),
        (
            &format!("{hmac}, timestamp: 'element:', signed: '{{timestamp}}{{body}}'"),
            "`header:<name>` or `element:<name>`",
        ),
        (&format!("{hmac}, signed: '{{url}}'"), "leaves out the body"),
        (
            &format!("{hmac}, signed: '{{body}}{{body}}'"),
            "signed twice",
        ),
        (
            &format!("{hmac}, signed: '{{payload}}'"),
            "`{payload}` is no part",
        ),
        (&format!("{hmac}, signed: '{{body'"), "`{body` is no part"),
        (&format!("{hmac}, signed: 'body}}'"), "`}` is no part"),
        (
            &format!("{hmac}, signed: '{{id}}{{body}}'"),
            "`signed` has `{id}`",
        ),
        (
            &format!("{hmac}, element: v1, prefix: 'sha256='"),
            "exclude each other",
        ),
        (
            &format!("{hmac}, separator: ';'"),
            "`separator` means nothing without `element`",
        ),
        (&format!("{hmac}, tolerance: 5m"), "no timestamp to compare"),
        (
            &format!("{hmac}, element: v1, separator: '0'"),
            "may hold this character",
        ),
        (
            &format!("{hmac}, element: v1, separator: '='"),
            "may hold this character",
        ),
        (&format!("{hmac}, element: 'v=1'"), "can have this name"),
        (&format!("{hmac}, element: 'a,b'"), "can have this name"),
        (&format!("{hmac}, element: ' v1'"), "can have this name"),
        (&format!("{hmac}, element: ''"), "can have this name"),
        (
            &format!(
                "{hmac}, element: v1, signed: '{{timestamp}}{{body}}', timestamp: 'element:v1'"
            ),
            "other than the signature",
        ),
        (
            &format!("{hmac}, prefix: ' sha256='"),
            "leave out spaces at its beginning",
        ),
        (
            "scheme: hmac, header: X-Sig, id_header: x-sig, signed: '{id}{body}'",
            "cannot hold two things",
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
    assert!(check(SchemeName::Gitlab, &["token", "whsec_!"]).contains("secret 2 is not"));
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
    assert_eq!(schema["properties"].as_object().unwrap().len(), 14);
}

#[test]
fn presets_name_their_source_and_use_selectors_of_the_configuration() {
    for preset in SchemeName::ALL.map(SchemeName::preset) {
        assert!(preset.docs.starts_with("https://"), "{preset:?}");
        for selector in preset.identity().iter().chain(&preset.event_type()) {
            assert!(!matches!(selector, Selector::Const(_)), "{selector}");
        }
    }
}

#[test]
fn most_presets_know_where_the_type_is() {
    let unknown: Vec<_> = SchemeName::ALL
        .into_iter()
        .filter(|name| name.preset().event_type().is_none())
        .collect();
    let [twilio, none, hmac] = [SchemeName::Twilio, SchemeName::None, SchemeName::Hmac];
    assert_eq!(unknown.len(), 3);
    assert!(
        [twilio, none, hmac]
            .iter()
            .all(|name| unknown.contains(name))
    );
    let of = |name: SchemeName| name.preset().event_type().unwrap().to_string();
    assert_eq!(of(SchemeName::Stripe), "body:/type");
    assert_eq!(of(SchemeName::Github), "header:X-GitHub-Event");
}

#[test]
fn what_a_signature_covers_follows_from_what_is_signed() {
    let is_signed = |scheme: &str, selector: &str| {
        parse(&format!("{{ {scheme} }}"))
            .unwrap()
            .signs(&selector.parse().unwrap())
    };
    for (scheme, selector, signed) in [
        ("scheme: svix", "header:Webhook-Id", true),
        ("scheme: svix", "header:svix-id", true),
        ("scheme: svix", "header:X-Other", false),
        ("scheme: stripe", "body:/id", true),
        ("scheme: stripe", "query:a", false),
        ("scheme: github", "header:X-GitHub-Delivery", false),
        ("scheme: square", "query:a", true),
        ("scheme: twilio", "query:a", true),
        ("scheme: twilio", "header:I-Twilio-Idempotency-Token", false),
        ("scheme: gitlab", "body:/id", false),
        ("scheme: none", "body:/id", false),
        (
            "scheme: hmac, header: X-S, id_header: X-Id, signed: '{id}{body}'",
            "header:x-id",
            true,
        ),
        ("scheme: hmac, header: X-S", "header:X-S", false),
    ] {
        assert_eq!(is_signed(scheme, selector), signed, "{scheme}: {selector}");
    }
}

#[test]
fn every_mistake_is_found_and_placed() {
    let scheme: Scheme = serde_saphyr::from_str(
        "{ scheme: hmac, signed: '{boddy}', id_header: 'a b', timestamp: X-T, separator: ';', tolerance: 0s }",
    )
    .unwrap();
    let mut paths: Vec<_> = scheme.mistakes().iter().map(SchemeError::path).collect();
    paths.dedup();
    assert_eq!(
        paths,
        [
            "header",
            "timestamp",
            "id_header",
            "signed",
            "separator",
            "timestamp",
            "id_header",
            "tolerance"
        ]
    );
    for mistake in scheme.mistakes() {
        assert!(
            mistake.to_string().contains("; "),
            "{mistake}: says what to do"
        );
    }
}
