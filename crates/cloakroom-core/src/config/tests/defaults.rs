use super::config;
use crate::config::{Config, Source};
use crate::id::SourceName;

#[test]
fn an_empty_file_and_a_bare_source_have_the_documented_defaults() {
    let text = "
sources: { demo: {}, dense: { order: { kind: dense, at: body:/n } }, sparse: { order: { kind: sparse, at: body:/n } } }
subscriptions: { s: { sources: [demo], sink: { http: { url: 'https://a.example' } } }, p: { sources: [demo], sink: pull } }";
    insta::assert_json_snapshot!(config(text));
    assert_eq!(
        config("sources:\n  demo:\n"),
        config("sources: { demo: {} }")
    );
    for empty in [
        "",
        "# nothing\n",
        "---\n",
        "{}",
        "claims:\nsources:\nsubscriptions:\nserver:\n",
    ] {
        assert_eq!(config(empty), config("sources: {}"), "{empty:?}");
    }
    let source = &config(
        "sources: { a: { verify: { scheme: github, secrets: [env:S] } }, b: { type: 'body:/t' } }",
    )
    .sources;
    let event_type = |name: &str| source[&SourceName::from(name)].event_type();
    assert_eq!(
        event_type("a").unwrap().to_string(),
        "header:X-GitHub-Event"
    );
    assert_eq!(event_type("b").unwrap().to_string(), "body:/t");
    let name = SourceName::from("shop");
    assert_eq!(Source::default_event_type(&name), "cloakroom.shop.received");
    let (built, read) = (Config::default(), config(""));
    assert_eq!(
        (built.claims.store(), &built.server),
        (read.claims.store(), &read.server)
    );
}

#[test]
fn the_schema_names_the_same_defaults() {
    for (path, default) in [
        ("claims.store", "always"),
        ("claims.inline_max", "16KiB"),
        ("claims.max_payload", "5GiB"),
        ("claims.retention", "30d"),
        ("claims.url_ttl", "1h"),
        ("sources.*.key", "const:all"),
        ("sources.*.order.kind", ""),
        ("sources.*.order.gap.after", "1m"),
        ("sources.*.order.gap.then", "wait"),
        ("sources.*.order.late", "deliver"),
        ("sources.*.order.hold", "5s"),
        ("sources.*.order.first", "lowest"),
        ("sources.*.ack", "stored"),
        ("sources.*.ack.delivered.timeout", "10s"),
        ("subscriptions.*.sink.http.timeout", "15s"),
        ("subscriptions.*.sink.http.mode", "structured"),
        ("subscriptions.*.sink.pull.lease", "30s"),
        ("subscriptions.*.retry.base", "1s"),
        ("subscriptions.*.retry.max", "10m"),
        ("subscriptions.*.exhausted", "park"),
        ("subscriptions.*.from", "now"),
        ("server.listen", "127.0.0.1:8080"),
        ("server.data_dir", "./cloakroom-data"),
        ("server.read_timeout", "30s"),
    ] {
        let explained = Config::explain(path).unwrap_or_else(|| panic!("{path} is explained"));
        let found = explained
            .default
            .as_ref()
            .and_then(|value| value.as_str())
            .unwrap_or_default();
        assert_eq!(found, default, "{path}");
    }
    let number = |path| Config::explain(path).unwrap().default.unwrap();
    assert_eq!(number("sources.*.order.gap.max"), 10_000);
    assert_eq!(number("sources.*.generation"), 1);
    assert_eq!(number("subscriptions.*.retry.attempts"), 10);
    assert_eq!(number("subscriptions.*.enabled"), true);
    assert_eq!(number("server.allow_private_sinks"), false);
}
