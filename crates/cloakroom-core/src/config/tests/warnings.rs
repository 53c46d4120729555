use super::config;

#[test]
fn what_is_allowed_but_unwise_is_named() {
    let text = r#"
sources:
  open: { verify: { scheme: none } }
  demo:
  one-stream: { verify: { scheme: stripe, secrets: [env:S] }, order: { kind: dense, at: body:/n } }
  unsigned-id: { verify: { scheme: github, secrets: [env:S] } }
  own-id: { verify: { scheme: square, secrets: [env:S] }, id: header:X-Id }
  hashed: { verify: { scheme: hmac, secrets: [env:S], header: X-S } }
subscriptions:
  local: { sources: [open], sink: { http: { url: "http://localhost:9000/", secret: env:S } } }
  plain: { sources: [demo, hashed, unsigned-id, own-id], sink: { http: { url: "http://a.example/" } }, enabled: false }
"#;
    let shown = |text: &str| {
        config(text)
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!("warnings", shown(text));
    let exposed = "server: { listen: '0.0.0.0:80', admin_token: env:T, allow_private_sinks: true }";
    insta::assert_snapshot!("warnings_exposed", shown(exposed));
    for signed in [
        "scheme: stripe, secrets: [env:S]",
        "scheme: svix, secrets: [env:S]",
        "scheme: square, secrets: [env:S]",
        "scheme: hmac, secrets: [env:S], header: X-S, signed: '{id}{body}', id_header: X-Id",
    ] {
        let id = if signed.contains("hmac") {
            ", id: header:x-id"
        } else {
            ""
        };
        let text = format!("sources: {{ a: {{ verify: {{ {signed} }}{id} }} }}");
        assert_eq!(shown(&text), "");
    }
}

/// Deliveries to them are refused: it is better to hear of that beforehand.
#[test]
fn private_addresses_are_named_whatever_they_are_written_like() {
    for (host, is_private) in [
        ("localhost", true),
        ("LOCALHOST", true),
        ("a.localhost", true),
        ("localhost.example", false),
        ("127.0.0.2", true),
        ("10.1.2.3", true),
        ("172.16.0.1", true),
        ("192.168.0.1", true),
        ("169.254.169.254", true),
        ("0.0.0.0", true),
        ("8.8.8.8", false),
        ("[::1]", true),
        ("[::]", true),
        ("[fd00::1]", true),
        ("[fe80::1]", true),
        ("[::ffff:10.0.0.1]", true),
        ("[2001:4860:4860::8888]", false),
    ] {
        let text = format!(
            "sources: {{ a: }}\nsubscriptions: {{ s: {{ sources: [a], sink: {{ http: {{ url: 'https://{host}/' }} }} }} }}"
        );
        let warnings = config(&text).warnings();
        let mut paths = warnings.iter().map(|warning| warning.path.as_str());
        let is_named = paths.any(|path| path == "subscriptions.s.sink.http.url");
        assert_eq!(is_named, is_private, "{host}");
    }
}
