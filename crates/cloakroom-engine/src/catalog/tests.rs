//! A catalog from a configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::config::{self, Config};
use cloakroom_core::id::StreamId;
use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy};
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, sign};

use super::*;
use crate::ports::{Outcome, Outgoing};

const EXAMPLE: &str = include_str!("../../../cloakroom-core/src/config/tests/example.yaml");
const NEW: &str = "whsec_bmV3IHNlY3JldCBvZiB0aGUgc291cmNl";
const OLD: &str = "whsec_b2xkIHNlY3JldCBvZiB0aGUgc291cmNl";

struct NoSink;

#[async_trait]
impl Sink for NoSink {
    async fn send(&self, _: &[Outgoing]) -> Outcome {
        Outcome::Delivered
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn secrets() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("TRANSFERS_SECRET", NEW),
        ("TRANSFERS_SECRET_OLD", OLD),
        ("SHOPIFY_SECRET", "shop"),
        ("BILLING_SECRET", NEW),
    ])
}

/// Builds with secrets from a map, and lists the subscriptions whose sink was asked for.
fn build_with(
    text: &str,
    secrets: &BTreeMap<&str, &str>,
) -> Result<(Catalog, Vec<String>), Vec<BuildError>> {
    let config = Config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let resolve = |reference: &SecretRef| match reference {
        SecretRef::Env(name) => secrets
            .get(name.as_str())
            .map(|secret| Secret::new(*secret))
            .ok_or_else(|| "it is not set".to_owned()),
        _ => Err("only variables are read here".to_owned()),
    };
    let mut asked = Vec::new();
    let catalog = Catalog::build(&config, Some(&resolve), |name, subscription| {
        asked.push(name.to_string());
        let path = format!("subscriptions.{name}.sink.{}", subscription.sink.name());
        if let Some(mistake) = subscription.sink.requires_aws() {
            return Err(BuildError::Sink { path, mistake });
        }
        if let config::Sink::Http(http) = &subscription.sink
            && let Some(reference) = &http.secret
        {
            BuildError::resolve(&resolve, format!("{path}.secret"), reference)?;
        }
        Ok(Arc::new(NoSink))
    })?;
    Ok((catalog, asked))
}

fn build(text: &str) -> Catalog {
    build_with(text, &secrets()).unwrap().0
}

#[test]
fn without_secrets_nothing_is_genuine_but_all_else_is_there() {
    let text = "
sources:
  signed: { verify: { scheme: github, secrets: [env:SURELY_NOT_SET] } }
  open: { verify: { scheme: none }, key: header:x-key, order: { kind: dense, at: body:/n, first: 1 } }
subscriptions:
  all: { sources: ['*'], sink: stdout }
";
    let config = Config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let catalog = Catalog::build(&config, None, |_, _| Ok(Arc::new(NoSink))).unwrap();
    let unsigned: Vec<(String, String)> = Vec::new();
    let head = RequestHead {
        method: "POST",
        url: "https://hooks.example/in/open",
        headers: &unsigned,
    };
    for name in ["signed", "open"] {
        let source = catalog.source(name).unwrap();
        let begun = source.verifier.begin(&head, Timestamp::default());
        assert!(begun.is_err(), "{name}");
    }
    let stream = StreamId::new("open", "A");
    assert!(matches!(catalog.rule(&stream), Some(Rule::Dense { .. })));
    let bells = catalog.dispatch(&stream, &Position::dense(7));
    assert_eq!(bells.len(), 1);
    assert_eq!(bells[0].released_up_to, Some(Position::dense(7)));
    // Once there are secrets, they are used.
    catalog
        .rotate(&config, &|_| Ok(vec![Secret::new("s")]))
        .unwrap();
    let source = catalog.source("open").unwrap();
    assert!(source.verifier.begin(&head, Timestamp::default()).is_ok());
}

fn errors(text: &str, secrets: &BTreeMap<&str, &str>) -> Vec<String> {
    let errors = build_with(text, secrets).map(drop).unwrap_err();
    assert!(
        errors
            .iter()
            .all(|error| error.to_string().starts_with(error.path()))
    );
    errors.iter().map(ToString::to_string).collect()
}

fn selectors(list: &[Selector]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Whether a request signed with that secret, or not at all, is let in.
fn accepts(source: &Source, scheme: SchemeName, secret: &str) -> bool {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let unsigned: Vec<(String, String)> = Vec::new();
    let head = |headers| RequestHead {
        method: "POST",
        url: "https://hooks.example/in/a",
        headers,
    };
    let secret = Secret::new(secret);
    let headers = sign(
        &Scheme::new(scheme),
        &secret,
        &head(&unsigned),
        "evt-1",
        now,
        b"{}",
    )
    .unwrap();
    let Ok(mut verification) = source.verifier.begin(&head(&headers), now) else {
        return false;
    };
    verification.update(b"{}");
    verification.finish().is_ok()
}

#[test]
fn the_documented_example_makes_a_catalog() {
    let (catalog, asked) = build_with(EXAMPLE, &secrets()).unwrap();
    let transfers = catalog.source("transfers").unwrap();
    let gap = GapPolicy {
        after: Duration::from_secs(30),
        then: GapAction::Skip,
        max: 10_000,
    };
    let rule = Rule::Dense {
        first: First::Number(1),
        gap,
        late: LatePolicy::Deliver,
    };
    assert_eq!(transfers.rule, rule);
    assert_eq!(
        transfers.ordering,
        "dense body:/data/sequenceNumber body:/data/id"
    );
    assert_eq!(selectors(&transfers.id), ["header:webhook-id"]);
    assert_eq!(
        transfers.at.as_ref().unwrap().to_string(),
        "body:/data/sequenceNumber"
    );
    assert_eq!(
        (transfers.max_payload, transfers.ack_delivered),
        (5 << 30, None)
    );
    for (secret, right) in [(NEW, true), (OLD, true), ("whsec_b3RoZXI=", false)] {
        assert_eq!(
            accepts(transfers, SchemeName::StandardWebhooks, secret),
            right
        );
    }

    let shop = catalog.source("shop").unwrap();
    assert_eq!(
        shop.ordering,
        "sparse header:x-shopify-triggered-at body:/id"
    );
    assert_eq!(selectors(&shop.id), ["header:X-Shopify-Event-Id"]);
    assert_eq!(
        shop.event_type.as_ref().unwrap().to_string(),
        "header:X-Shopify-Topic"
    );
    assert!(accepts(shop, SchemeName::Shopify, "shop"));

    assert_eq!(asked, ["audit", "billing"], "what is pulled has no sink");
    let billing = catalog.subscription(&"billing".into()).unwrap();
    assert_eq!(billing.sources, Interest::Named(vec!["transfers".into()]));
    assert_eq!(billing.retry.attempts, 10);
    assert_eq!(billing.retry.max, Duration::from_secs(600));
    assert!(billing.filter.is_some() && billing.enabled && !billing.from_earliest);
    assert!(matches!(billing.route, Route::Push(_)));
    let pulled = catalog.subscription(&"ledger-sync".into()).unwrap();
    assert!(matches!(pulled.route, Route::Pull { lease } if lease == Duration::from_secs(30)));
    assert_eq!(
        catalog.subscription(&"audit".into()).unwrap().sources,
        Interest::All
    );
    assert!(!catalog.has_state_subscribers());
}

#[test]
fn a_bare_source_takes_anything() {
    let catalog = build("sources: { demo: }");
    let demo = catalog.source("demo").unwrap();
    assert_eq!(
        (&demo.rule, demo.ordering.as_str()),
        (&Rule::Arrival, "arrival - const:all")
    );
    assert_eq!(selectors(&demo.id), ["header:webhook-id"]);
    assert!(demo.event_type.is_none() && demo.time.is_none() && demo.at.is_none());
    assert!(accepts(demo, SchemeName::None, ""));
}

#[test]
fn what_is_configured_replaces_what_the_preset_knows() {
    let catalog = build(
        "sources:
  preset: { verify: { scheme: gitlab, secrets: [env:SHOPIFY_SECRET] } }
  own: { verify: { scheme: gitlab, secrets: [env:SHOPIFY_SECRET] }, id: body:/id, type: const:push }",
    );
    let preset = catalog.source("preset").unwrap();
    assert_eq!(
        selectors(&preset.id),
        ["header:webhook-id", "header:Idempotency-Key"]
    );
    assert_eq!(
        preset.event_type.as_ref().unwrap().to_string(),
        "header:X-Gitlab-Event"
    );
    let own = catalog.source("own").unwrap();
    assert_eq!(selectors(&own.id), ["body:/id"]);
    assert_eq!(own.event_type.as_ref().unwrap().to_string(), "const:push");
}

#[test]
fn every_key_arrives() {
    let catalog = build(
        "
sources:
  lowest: { order: { kind: dense, at: body:/n, gap: { after: 3s, then: wait, max: 7 }, late: quarantine, hold: 9s } }
  held: { order: { kind: sparse, at: body:/t, hold: 2s, late: quarantine }, key: header:X-Key, max_payload: 1KiB }
  newest: { order: { kind: version, at: query:v }, generation: 2, ack: { delivered: { timeout: 4s } }, time: body:/at }
subscriptions:
  all: { sources: ['*'], sink: stdout, exhausted: dead-letter, from: earliest, enabled: false }
  both: { sources: ['*', cloakroom], sink: stdout, retry: { attempts: 3, base: 2s, max: 5s } }",
    );
    let gap = GapPolicy {
        after: Duration::from_secs(3),
        then: GapAction::Wait,
        max: 7,
    };
    let lowest = Rule::Dense {
        first: First::Lowest {
            hold: Duration::from_secs(9),
        },
        gap,
        late: LatePolicy::Quarantine,
    };
    assert_eq!(catalog.rule(&StreamId::new("lowest", "k")), Some(&lowest));
    let held = catalog.source("held").unwrap();
    let sparse = Rule::Sparse {
        hold: Duration::from_secs(2),
        late: LatePolicy::Quarantine,
    };
    assert_eq!((&held.rule, held.max_payload), (&sparse, 1_024));
    assert_eq!(held.ordering, "sparse body:/t header:x-key");
    let newest = catalog.source("newest").unwrap();
    assert_eq!(newest.ordering, "version query:v const:all");
    assert_eq!(
        (newest.generation, newest.ack_delivered),
        (2, Some(Duration::from_secs(4)))
    );
    assert_eq!(newest.time.as_ref().unwrap().to_string(), "body:/at");
    assert_eq!(
        catalog.rule(&StreamId::new("newest@2", "k")),
        Some(&Rule::Version)
    );

    let all = catalog.subscription(&"all".into()).unwrap();
    assert_eq!(
        (all.exhausted, all.from_earliest, all.enabled),
        (Exhausted::DeadLetter, true, false)
    );
    let both = catalog.subscription(&"both".into()).unwrap();
    assert_eq!(
        (both.retry.attempts, both.retry.base),
        (3, Duration::from_secs(2))
    );
    let state = StreamId::new("cloakroom", "k");
    let listening = |stream: &StreamId| -> Vec<String> {
        catalog
            .subscribers(stream)
            .map(|s| s.name.to_string())
            .collect()
    };
    assert_eq!(listening(&state), ["both"]);
    assert_eq!(listening(&StreamId::new("newest@2", "k")), ["all", "both"]);
    assert!(catalog.has_state_subscribers());
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    assert_eq!(
        errors(EXAMPLE, &BTreeMap::from([("TRANSFERS_SECRET", NEW)])),
        [
            "sources.shop.verify.secrets[0]: `env:SHOPIFY_SECRET` could not be read: it is not set; set the environment variable `SHOPIFY_SECRET`",
            "sources.transfers.verify.secrets[1]: `env:TRANSFERS_SECRET_OLD` could not be read: it is not set; set the environment variable `TRANSFERS_SECRET_OLD`",
            "subscriptions.billing.sink.http.secret: `env:BILLING_SECRET` could not be read: it is not set; set the environment variable `BILLING_SECRET`",
        ]
    );
}

#[test]
fn a_secret_of_the_wrong_form_is_named_and_not_shown() {
    let mut wrong = secrets();
    wrong.insert("TRANSFERS_SECRET_OLD", "whsec_hunter2!");
    let errors = errors(EXAMPLE, &wrong);
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].starts_with("sources.transfers.verify.secrets[1]: secret 2 is not"),
        "{errors:?}"
    );
    assert!(!errors[0].contains("hunter2"));
}

#[test]
fn other_references_and_sinks_have_their_own_remedy() {
    let text = "
sources: { a: { verify: { scheme: stripe, secrets: [file:/run/secrets/a, aws-secret:a] } } }
subscriptions: { s: { sources: [a], sink: { sns: { topic: t } } } }";
    let errors = errors(text, &secrets());
    assert!(
        errors[0].ends_with(
            "put the secret into the file `/run/secrets/a`, and let this process read it"
        )
    );
    assert!(errors[1].ends_with("create the secret `a`, and let this process read it"));
    assert!(
        errors[2].starts_with(
            "subscriptions.s.sink.sns: the sink `sns` exists in the AWS form only; use"
        )
    );
    assert_eq!(errors.len(), 3);
}

#[test]
fn rotated_secrets_are_taken_while_webhooks_come_in() {
    let text = "sources: { a: { verify: { scheme: standard-webhooks, secrets: [env:TRANSFERS_SECRET] } } }";
    let config = Config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    let catalog = build(text);
    let source = catalog.source("a").unwrap();
    let accepted =
        || [NEW, OLD].map(|secret| accepts(source, SchemeName::StandardWebhooks, secret));
    assert_eq!(accepted(), [true, false]);
    let rotate = |found: &[&str]| {
        let secrets: Vec<_> = found.iter().map(|secret| Secret::new(*secret)).collect();
        catalog.rotate(&config, &|_| Ok(secrets.clone()))
    };
    assert_eq!(rotate(&[OLD, NEW]), Ok(()));
    assert_eq!(accepted(), [true, true]);
    // The next secret is not what the scheme takes: the current one is.
    assert_eq!(rotate(&[OLD, "whsec_!"]), Ok(()));
    assert_eq!(accepted(), [false, true]);
    let bad = rotate(&["whsec_!", OLD]).unwrap_err();
    assert_eq!(bad[0].path(), "sources.a.verify.secrets[0]");
    let gone = catalog.rotate(&config, &|_| Err("it is gone".to_owned()));
    assert!(gone.unwrap_err()[0].to_string().contains("it is gone"));
    assert_eq!(accepted(), [false, true], "what it had still holds");
}
