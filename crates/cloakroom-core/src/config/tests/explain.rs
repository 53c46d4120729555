use serde_json::Value;

use crate::config::Config;

#[test]
fn keys_are_explained_from_the_schema() {
    let explain = |path| Config::explain(path).unwrap().to_string();
    insta::assert_snapshot!("explain_gap_after", explain("sources.*.order.gap.after"));
    insta::assert_snapshot!("explain_order", explain("sources.transfers.order"));
    insta::assert_snapshot!("explain_kind", explain("sources.transfers.order.kind"));
    insta::assert_snapshot!("explain_sink", explain("subscriptions.billing.sink"));
    insta::assert_snapshot!(
        "explain_url",
        explain("subscriptions.billing.sink.http.url")
    );
    insta::assert_snapshot!(
        "explain_secret",
        explain("sources.transfers.verify.secrets[0]")
    );
    insta::assert_snapshot!("explain_first", explain("sources.transfers.order.first"));
    insta::assert_snapshot!("explain_document", explain(""));
    for unknown in [
        "claim",
        "claims.store.x",
        "sources.a.order.gap.x",
        "subscriptions.a.sink.http.path",
        "server.listen[0]",
    ] {
        assert_eq!(Config::explain(unknown), None, "{unknown}");
    }
}

#[test]
fn every_key_is_documented_and_typed() {
    let mut pending = vec![String::new()];
    let mut seen = 0;
    while let Some(path) = pending.pop() {
        let explained = Config::explain(&path).unwrap_or_else(|| panic!("{path} is explained"));
        assert!(
            !explained.doc.is_empty() && !explained.type_name.is_empty(),
            "{explained:?}"
        );
        seen += 1;
        let named = matches!(path.as_str(), "sources" | "subscriptions");
        let below = explained.keys.iter().map(|(key, _)| key.clone());
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}.")
        };
        pending.extend(below.map(|key| format!("{prefix}{key}")));
        if named {
            pending.push(format!("{path}.*"));
        }
        if path.ends_with(".sink") {
            pending.extend(
                explained
                    .choices
                    .iter()
                    .map(|(name, _)| format!("{path}.{name}")),
            );
        }
    }
    assert!(seen > 70, "only {seen} keys were found");
}

#[test]
fn the_schema_is_the_published_one() {
    let schema = Config::schema();
    insta::assert_json_snapshot!(schema);
    assert_no_null(&schema, "");
}

fn assert_no_null(value: &Value, path: &str) {
    match value {
        Value::Null => panic!("{path} is null"),
        Value::Object(entries) => entries
            .iter()
            .for_each(|(key, value)| assert_no_null(value, &format!("{path}/{key}"))),
        Value::Array(items) => items.iter().for_each(|item| assert_no_null(item, path)),
        _ => {}
    }
}
