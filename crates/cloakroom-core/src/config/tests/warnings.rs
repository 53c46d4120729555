use super::config;

#[test]
fn what_is_allowed_but_unwise_is_named() {
    let text = r#"
sources:
  open: { verify: { scheme: none } }
  demo:
  one-stream: { verify: { scheme: stripe, secrets: [env:S] }, order: { kind: dense, at: body:/n } }
  hashed: { verify: { scheme: hmac, secrets: [env:S], header: X-S } }
subscriptions:
  local: { sources: [open], sink: { http: { url: "http://localhost:9000/", secret: env:S } } }
  plain: { sources: [demo, hashed], sink: { http: { url: "http://a.example/" } }, enabled: false }
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
    assert_eq!(
        shown("sources: { a: { verify: { scheme: github, secrets: [env:S] } } }"),
        ""
    );
}
