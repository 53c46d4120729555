use serde_json::json;

use super::config;
use crate::config::{Config, First, GapPolicy, Late, Order, Overrides, Sink, Store};
use crate::id::SourceName;
use crate::secret::SecretRef;
use crate::verify::SchemeName;

const EXAMPLE: &str = include_str!("example.yaml");

#[test]
fn the_documented_example_means_what_it_says() {
    let config = config(EXAMPLE);
    assert_eq!(config.claims.store(), Store::Always);
    assert_eq!(config.claims.max_payload.get(), 5 << 30);
    let transfers = &config.sources[&SourceName::from("transfers")];
    assert_eq!(transfers.scheme(), SchemeName::StandardWebhooks);
    let secrets = &transfers.verify.as_ref().unwrap().secrets;
    assert_eq!(secrets[1], SecretRef::Env("TRANSFERS_SECRET_OLD".into()));
    let Order::Dense {
        at,
        first: First::Number(1),
        gap,
        late: Late::Deliver,
    } = &transfers.order
    else {
        panic!("{:?}", transfers.order)
    };
    assert_eq!(at.to_string(), "body:/data/sequenceNumber");
    assert_eq!(
        (gap.after.get().as_secs(), gap.then, gap.max),
        (30, GapPolicy::Skip, 10_000)
    );
    let audit = &config.subscriptions[&"audit".into()];
    assert!(audit.takes(&"shop".into()) && !audit.takes(&"cloakroom".into()));
    let names = |of: Vec<&SecretRef>| of.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    let of_transfers = ["env:TRANSFERS_SECRET", "env:TRANSFERS_SECRET_OLD"];
    let of_sources = names(config.source_secrets().collect());
    assert_eq!(of_sources[0], "env:SHOPIFY_SECRET");
    assert_eq!(of_sources[1..], of_transfers);
    assert_eq!(
        names(config.sink_secrets().collect()),
        ["env:BILLING_SECRET"]
    );
    assert_eq!(config.secrets().count(), 5, "and the API's token");
    let billing = &config.subscriptions[&"billing".into()];
    assert!(!billing.takes(&"shop".into()));
    assert_eq!(
        billing.filter.as_ref().unwrap().source(),
        &json!({ "type": [{ "prefix": "transfer." }] })
    );
    let Sink::Http(http) = &billing.sink else {
        panic!("{:?}", billing.sink)
    };
    assert_eq!(http.rate.unwrap().interval().as_millis(), 20);
    let warnings = config.warnings();
    let [unsigned] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(unsigned.path, "sources.shop");
    assert!(
        unsigned.message.contains("X-Shopify-Event-Id"),
        "{unsigned}"
    );
}

#[test]
fn it_reads_back_from_its_canonical_form() {
    let everything = "
claims: { above: 8KiB }
sources:
  a: { order: { kind: dense, at: body:/n }, ack: delivered }
  b: { verify: { scheme: hmac, secrets: [file:/s], header: X-S, signed: '{timestamp}.{body}', timestamp: header:X-T }, order: { kind: version, at: body:/v } }
  c: { ack: { delivered: { timeout: 3s } }, generation: 2, max_payload: 1MB }
  d:
subscriptions:
  a: { sources: [cloakroom], sink: stdout }
  b: { sources: ['*', cloakroom], sink: { sqs-fifo: { queue: q.fifo } }, exhausted: dead-letter, enabled: false }
  c: { sources: [d], sink: { http: { url: 'https://a.example', headers: { Authorization: env:A, X-B: c } } } }
";
    for text in [EXAMPLE, everything, ""] {
        let first = config(text);
        let json = serde_json::to_string_pretty(&first).unwrap();
        assert_eq!(config(&json), first, "{json}");
        let yaml = serde_saphyr::to_string(&first).unwrap();
        assert_eq!(config(&yaml), first, "{yaml}");
        assert!(!json.contains("null"), "{json}");
    }
}

#[test]
fn the_command_line_overrides_before_the_rules_are_checked() {
    let listen = Overrides {
        listen: Some("0.0.0.0:80".parse().unwrap()),
        data_dir: Some("/var/lib/c".into()),
    };
    let problems = Config::parse_with("sources: { demo: }", &listen).unwrap_err();
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, ["server.admin_token", "sources.demo"]);
    let fine = "sources: { demo: { verify: { scheme: none } } }\nserver: { admin_token: env:T }";
    let config = Config::parse_with(fine, &listen).unwrap();
    assert_eq!(config.server.data_dir.to_str(), Some("/var/lib/c"));
    assert_eq!(config.server.public_url(), "http://127.0.0.1:80");
}

#[test]
fn sinks_of_the_aws_form_are_known_and_say_so() {
    for (sink, aws) in [
        ("stdout", false),
        ("pull", false),
        ("{ file: { path: a } }", false),
        (
            "{ sqs-fifo: { queue: 'arn:aws:sqs:eu-west-1:1:a.fifo' } }",
            true,
        ),
        ("{ eventbridge: { bus: a } }", true),
        ("{ sns: { topic: a } }", true),
        ("{ lambda: { function: a } }", true),
        ("{ step-functions: { state_machine: a } }", true),
    ] {
        let config = config(&format!(
            "sources: {{ a: }}\nsubscriptions: {{ s: {{ sources: [a], sink: {sink} }} }}"
        ));
        let sink = &config.subscriptions[&"s".into()].sink;
        assert_eq!(sink.requires_aws().is_some(), aws, "{}", sink.name());
    }
}
