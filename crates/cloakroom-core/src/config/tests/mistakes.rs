use super::mistakes;
use crate::config::Config;

/// Wraps the keys of one source that is signed.
fn source(keys: &str) -> String {
    format!("sources:\n  shop:\n    verify: {{ scheme: stripe, secrets: [env:S] }}\n    {keys}\n")
}

fn subscription(keys: &str) -> String {
    format!("sources:\n  shop:\nsubscriptions:\n  billing:\n    {keys}\n")
}

/// Mistakes that people make, each under its name.
fn table() -> Vec<(&'static str, String)> {
    vec![
    ("unknown_section", "claim: { inline_max: 1KiB }\nsurces: {}\nwhatever: 1".into()),
    ("unknown_key", source("ordr: { kind: arrival }")),
    ("unknown_key_like_nothing", source("whatever: 1")),
    ("unknown_key_deep", source("order: { kind: dense, at: body:/n, gap: { afer: 3s } }")),
    ("wrong_unit", source("order: { kind: sparse, at: body:/n, hold: 5sec }")),
    ("no_unit", "claims:\n  retention: 30\n  inline_max: 16KiB".into()),
    ("wrong_size", "claims: { max_payload: 5G, inline_max: 16 kb }".into()),
    ("too_large", "claims:\n  inline_max: 1MiB\n  url_ttl: 30d\n  above: 1GB\n  store: always".into()),
    ("selector_path", source("key: $.data.id")),
    ("selector_dotted", source("key: body:data.id")),
    ("selector_escape", source("key: body:/a~b")),
    ("selector_header", source("id: 'header:X Id'")),
    ("selector_kind", source("id: haeder:X-Id")),
    ("literal_secret", "sources:\n  shop:\n    verify:\n      scheme: stripe\n      secrets: [whsec_hunter2, env:hunter-2]\n".into()),
    ("literal_secret_in_place_of_a_list", "sources:\n  shop:\n    verify: { scheme: stripe, secrets: hunter2 }\n".into()),
    ("literal_secret_number", "server:\n  admin_token: 12345678\n".into()),
    ("literal_secret_in_a_header", subscription(
        "sources: [shop]\n    sink: { http: { url: 'https://a.example', headers: { Authorization: Bearer hunter2, Content-Type: a } } }"
    )),
    ("unknown_scheme", "sources:\n  shop:\n    verify: { scheme: shopfy, secrets: [env:S] }\n".into()),
    ("missing_scheme", "sources:\n  shop:\n    verify: { secrets: [env:S] }\n".into()),
    ("missing_secrets", "sources:\n  shop:\n    verify: { scheme: github }\n".into()),
    ("secrets_for_none", "sources:\n  shop:\n    verify: { scheme: none, secrets: [env:S], tolerance: 5m }\n".into()),
    ("hmac_keys_elsewhere", "sources:\n  shop:\n    verify: { scheme: github, secrets: [env:S], header: X-Sig }\n".into()),
    ("hmac_incomplete", "sources:\n  shop:\n    verify: { scheme: hmac, secrets: [env:S], signed: body, timestamp: header:X-T }\n".into()),
    ("hmac_contradictions", "sources:\n  shop:\n    verify:\n      scheme: hmac\n      secrets: [env:S]\n      header: X S\n      signed: '{id}.{time}.{body}'\n      tolerance: 0s\n      separator: ';;'\n".into()),
    ("hmac_values", "sources:\n  shop:\n    verify:\n      scheme: hmac\n      header: X-S\n      signed: '{id}.{time}.{body}'\n      timestamp: X-T\n      tolerance: 0s\n      prefix: v0=\n      element: v0\n".into()),
    ("tolerance_without_a_time", "sources:\n  shop:\n    verify: { scheme: github, secrets: [env:S], tolerance: 5m }\n".into()),
    ("unknown_source", subscription("sources: [shpo, '*', other]\n    sink: stdout")),
    ("no_sources", subscription("sources: []\n    sink: stdout")),
    ("sources_not_a_list", subscription("sources: shop\n    sink: stdout")),
    ("missing_sink", subscription("sources: [shop]")),
    ("missing_url", subscription("sources: [shop]\n    sink:\n      http: { secret: env:S }")),
    ("wrong_url", subscription("sources: [shop]\n    sink: { http: { url: 'ftp://a.example/x' } }")),
    ("url_with_password", subscription("sources: [shop]\n    sink: { http: { url: 'https://me:hunter2@a.example/x' } }")),
    ("unknown_sink", subscription("sources: [shop]\n    sink: { htp: { url: 'https://a.example' } }")),
    ("unknown_bare_sink", subscription("sources: [shop]\n    sink: std-out")),
    ("two_sinks", subscription("sources: [shop]\n    sink: { stdout: {}, pull: {} }")),
    ("wrong_rate", subscription("sources: [shop]\n    sink: { http: { url: 'https://a.example', rate: 50 } }")),
    ("wrong_retry", subscription("sources: [shop]\n    sink: pull\n    retry: { attempts: 0, base: 1h }")),
    ("negative_attempts", subscription("sources: [shop]\n    sink: pull\n    retry: { attempts: -1 }")),
    ("filter_not_a_mapping", subscription("sources: [shop]\n    sink: pull\n    filter: transfer")),
    ("filter_empty", subscription("sources: [shop]\n    sink: pull\n    filter: {}")),
    ("filter_value_without_a_list", subscription("sources: [shop]\n    sink: pull\n    filter:\n      type: paid")),
    ("filter_operator", subscription("sources: [shop]\n    sink: pull\n    filter:\n      subject: [a]\n      data:\n        state: [paid, { prefx: lo }]")),
    ("filter_operand", subscription("sources: [shop]\n    sink: pull\n    filter: { data: { amount: [{ numeric: ['>', 5, '<', 1] }] } }")),
    ("missing_at", source("order:\n      kind: dense\n      first: 1")),
    ("missing_kind", source("order: { at: body:/n }")),
    ("at_for_arrival", source("order: { kind: arrival, at: body:/n }")),
    ("gap_for_sparse", source("order: { kind: sparse, at: body:/n, gap: { after: 3s } }")),
    ("hold_for_fixed_first", source("order: { kind: dense, at: body:/n, first: 1, hold: 5s }")),
    ("late_for_version", source("order: { kind: version, at: body:/n, late: deliver }")),
    ("wrong_first", source("order: { kind: dense, at: body:/n, first: frist }")),
    ("wrong_kind", source("order: { kind: dens, at: body:/n }")),
    ("order_not_a_mapping", source("order: dense")),
    ("wrong_ack", source("ack: { delivered: { timeot: 10s } }")),
    ("stored_takes_nothing", source("ack: { stored: { timeout: 10s } }")),
    ("names", "sources:\n  Shop:\n  cloakroom:\n  my.shop:\nsubscriptions:\n  _x: { sources: ['*'], sink: stdout }".into()),
    ("beyond_loopback", "sources:\n  demo:\nserver: { listen: '0.0.0.0:8080' }\n".into()),
    ("wrong_listen", "server: { listen: 8080 }\n".into()),
    ("wrong_bool", "server: { allow_private_sinks: 'true' }\n".into()),
    ("yes_is_no_boolean", "server: { allow_private_sinks: yes }\n".into()),
    ("empty_value", "claims:\n  retention:\n  url_ttl: 1h\n".into()),
    ("tab_indentation", "sources:\n\tshop: {}\n".into()),
    ("duplicate_key", "sources:\n  shop: {}\n  other: {}\n  shop: {}\n".into()),
    ("unclosed_bracket", "sources: { shop: {}\nserver: {}\n".into()),
    ("not_a_mapping", "- sources\n".into()),
    ("bad_nesting", "sources:\n  shop: a: b\n".into()),
    ("two_documents", "sources: {}\n---\nserver: {}\n".into()),
    ("merge_key", "sources:\n  a: &a { generation: 2 }\n  b: { <<: *a }\n".into()),
    ("star_without_quotes", "subscriptions:\n  a: { sources: [*], sink: stdout }\n".into()),
    ("unknown_alias", "sources:\n  a: *shop\n".into()),
    ("space_in_a_reference", "server: { admin_token: { env: hunter2 } }".into()),
    ("selector_slash", source("key: /data/id")),
    ("tag", "sources: !ref a\n".into()),
    ("nothing_where_there_must_be_something", "claims: { max_payload: 0B, retention: 0s, url_ttl: 0s }\nsources:\n  shop:\n    order: { kind: dense, at: body:/n, gap: { after: 0s, max: 0 } }\n    ack: { delivered: { timeout: 0s } }\n    generation: 0\n    max_payload: 0B\n    read_timeout: 0s\n    body_timeout: 0s\nsubscriptions:\n  pulled: { sources: [shop], sink: { pull: { lease: 0s } }, retry: { base: 0s } }\n  sent: { sources: [shop], sink: { http: { url: 'https://a.example', timeout: 0s } } }\n  written: { sources: [shop], sink: { file: { path: '' } } }\nserver: { data_dir: '', max_in_flight: { requests: 0, bytes: 0B }, max_connections: 0, header_timeout: 0s, read_timeout: 0s, body_timeout: 0s }\n".into()),
    ("numbers_out_of_range", source("generation: 99999999999\n    order: { kind: dense, at: body:/n, first: -1 }")),
    ("number_for_text", source("key: 5")),
    ("list_for_text", source("key: [body:/a]")),
    ("word_in_a_list", subscription("sources: [shop, yes]\n    sink: pull")),
    ("no_fifo", subscription("sources: [shop]\n    sink: { sqs-fifo: { queue: 'https://sqs.eu-central-1.amazonaws.com/123456789012/orders' } }")),
    ("our_headers", subscription("sources: [shop]\n    sink: { http: { url: 'https://a.example', headers: { Ce-Id: a, Webhook-Id: b, Host: c, X-Ce-Id: d } } }")),
    ("several_at_once", "claims: { retention: 1x }\nsources:\n  a: { key: x }\n  b: { ack: 1 }\nserver: { listen: here }\n".into()),
    ]
}

#[test]
fn mistakes_name_the_line_and_the_remedy() {
    let shown: Vec<String> = table()
        .into_iter()
        .map(|(name, text)| {
            format!(
                "==== {name}\n{}\n----\n{}\n",
                text.trim_end(),
                mistakes(&text)
            )
        })
        .collect();
    insta::assert_snapshot!("mistakes", shown.join("\n"));
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    for (name, text) in table() {
        let problems = Config::parse(&text).unwrap_err();
        assert_eq!(
            (&problems).into_iter().count(),
            problems.clone().into_vec().len()
        );
        assert_ne!(problems.iter().count(), 0, "{name}");
        for problem in &problems {
            assert!(
                problem.line > 0 && problem.column > 0 && problem.hint.is_some(),
                "{name}: {problem:?}"
            );
        }
    }
}

#[test]
fn what_is_just_allowed_is_taken() {
    for text in [
        "claims: { inline_max: 256KiB, above: 256KiB, url_ttl: 7d }".to_owned(),
        subscription("sources: [shop]\n    sink: pull\n    retry: { base: 10m, max: 10m }"),
        source("order: { kind: dense, at: body:/n, gap: { after: 1ms, max: 1 } }"),
    ] {
        super::config(&text);
    }
}

#[test]
fn a_literal_secret_is_never_shown() {
    for place in [
        "sources: { a: { verify: { scheme: stripe, secrets: [hunter2] } } }",
        "sources: { a: { verify: { scheme: stripe, secrets: hunter2 } } }",
        "sources: { a: { verify: { scheme: stripe, secrets: { a: hunter2 } } } }",
        "sources: { a: { verify: hunter2 } }",
        "server: { admin_token: hunter2 }",
        "server: { admin_token: [hunter2] }",
        "server: { admin_token: { env: hunter2 } }",
        "subscriptions: { a: { sources: ['*'], sink: { http: { url: 'https://u:hunter2@a.example' } } } }",
        "subscriptions: { a: { sources: ['*'], sink: { http: { url: 'https://a.example', secret: hunter2 } } } }",
        "subscriptions: { a: { sources: ['*'], sink: { http: { url: 'https://a.example', headers: { X-Token: hunter2 } } } } }",
        "server: { admin_token: hunter2",
        "server: { admin_token: \"hunter2 }",
        "server: { admin_token: !x hunter2 }",
    ] {
        let text = mistakes(place);
        assert!(!text.contains("hunter2"), "{text}");
    }
}
