//! What a world is made of: sources, subscriptions, webhooks.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use cloakroom_core::pattern::{Dialect, Pattern};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::verify::{Scheme, SchemeName, Verifier};

use super::faults::Life;
use super::sink::{Connection, Script};
use crate::catalog::{Exhausted, InBody, Interest, Route, Source, Subscription};

/// What a source is made from, again at every start.
#[derive(Clone)]
pub(crate) struct SourceSpec {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) ack_delivered: Option<Duration>,
    pub(super) generation: u32,
}

fn source(name: &'static str, rule: Rule) -> SourceSpec {
    SourceSpec {
        name,
        rule,
        ack_delivered: None,
        generation: 1,
    }
}

/// 1, 2, 3; waits at gaps for a minute, then goes on waiting; delivers what is late.
pub(crate) fn dense(name: &'static str) -> SourceSpec {
    let gap = GapPolicy {
        after: Duration::from_secs(60),
        then: GapAction::Wait,
        max: 10_000,
    };
    source(
        name,
        Rule::Dense {
            first: First::Number(1),
            gap,
            late: LatePolicy::Deliver,
        },
    )
}

/// Held for five seconds.
pub(super) fn sparse(name: &'static str) -> SourceSpec {
    let hold = Duration::from_secs(5);
    let late = LatePolicy::Deliver;
    source(name, Rule::Sparse { hold, late })
}

pub(super) fn version(name: &'static str) -> SourceSpec {
    source(name, Rule::Version)
}

pub(super) fn arrival(name: &'static str) -> SourceSpec {
    source(name, Rule::Arrival)
}

impl SourceSpec {
    pub(super) fn lowest_first(mut self, window: Duration) -> Self {
        if let Rule::Dense { first, .. } = &mut self.rule {
            *first = First::Lowest { hold: window };
        }
        self
    }

    pub(super) fn skips_gaps(mut self) -> Self {
        if let Rule::Dense { gap, .. } = &mut self.rule {
            gap.then = GapAction::Skip;
        }
        self
    }

    pub(super) fn gap_max(mut self, max: u64) -> Self {
        if let Rule::Dense { gap, .. } = &mut self.rule {
            gap.max = max;
        }
        self
    }

    pub(super) fn quarantines_late(mut self) -> Self {
        if let Rule::Dense { late, .. } | Rule::Sparse { late, .. } = &mut self.rule {
            *late = LatePolicy::Quarantine;
        }
        self
    }

    pub(super) fn acknowledges_delivered(mut self, timeout: Duration) -> Self {
        self.ack_delivered = Some(timeout);
        self
    }

    pub(crate) fn build(&self) -> Source {
        let at = (self.rule != Rule::Arrival).then(|| "header:x-seq".parse().unwrap());
        Source {
            name: self.name.into(),
            generation: self.generation,
            ordering: format!("{:?}", std::mem::discriminant(&self.rule)),
            rule: self.rule.clone(),
            verifier: Verifier::new(&Scheme::new(SchemeName::None), &[])
                .unwrap()
                .into(),
            id: vec!["header:webhook-id".parse().unwrap()],
            key: "header:x-key".parse().unwrap(),
            event_type: Some("header:x-type".parse().unwrap()),
            time: None,
            at,
            max_payload: 1 << 20,
            ack_delivered: self.ack_delivered,
            in_body: InBody::default(),
        }
    }
}

/// What a subscription is made from, again at every start.
#[derive(Clone)]
pub(super) struct SubscriptionSpec {
    pub(super) name: &'static str,
    to: Interest,
    filter: Option<serde_json::Value>,
    retry: RetryPolicy,
    exhausted: Exhausted,
    earliest: bool,
    pub(super) consumer: Consumer,
}

#[derive(Clone)]
pub(super) enum Consumer {
    Push(Arc<Script>),
    Pull(Duration),
}

/// Sent to `script`; ten tries, then parked; from now.
pub(super) fn push(name: &'static str, script: &Arc<Script>) -> SubscriptionSpec {
    subscription(name, Consumer::Push(Arc::clone(script)))
}

/// Fetched, with a lease of half a minute.
pub(super) fn pull(name: &'static str) -> SubscriptionSpec {
    subscription(name, Consumer::Pull(Duration::from_secs(30)))
}

fn subscription(name: &'static str, consumer: Consumer) -> SubscriptionSpec {
    SubscriptionSpec {
        name,
        to: Interest::All,
        filter: None,
        retry: RetryPolicy {
            attempts: 10,
            base: Duration::from_secs(1),
            max: Duration::from_secs(600),
        },
        exhausted: Exhausted::Park,
        earliest: false,
        consumer,
    }
}

impl SubscriptionSpec {
    pub(super) fn to(mut self, sources: &[&str]) -> Self {
        self.to = Interest::Named(sources.iter().map(|name| (*name).into()).collect());
        self
    }

    pub(super) fn filter(mut self, pattern: serde_json::Value) -> Self {
        self.filter = Some(pattern);
        self
    }

    pub(super) fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    pub(super) fn dead_letters(mut self) -> Self {
        self.exhausted = Exhausted::DeadLetter;
        self
    }

    pub(super) fn earliest(mut self) -> Self {
        self.earliest = true;
        self
    }

    pub(super) fn build(&self, life: &Life) -> Subscription {
        let pattern = |value| Pattern::parse(value, Dialect::EventBridge).unwrap();
        Subscription {
            name: self.name.into(),
            sources: self.to.clone(),
            filter: self.filter.as_ref().map(pattern),
            route: match &self.consumer {
                Consumer::Push(script) => Route::Push(Arc::new(Connection {
                    script: Arc::clone(script),
                    life: life.clone(),
                })),
                Consumer::Pull(lease) => Route::Pull { lease: *lease },
            },
            retry: self.retry,
            exhausted: self.exhausted,
            from_earliest: self.earliest,
            enabled: true,
        }
    }
}

/// A webhook as a provider sends it.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) source: &'static str,
    pub(super) id: String,
    pub(super) key: Option<String>,
    pub(super) seq: Option<String>,
    pub(super) kind: &'static str,
    pub(super) body: String,
}

/// Number `n` of `key` at source `orders`, with the identity `key-n`.
pub(super) fn order(key: &str, n: u64) -> Webhook {
    Webhook {
        source: "orders",
        id: format!("{key}-{n}"),
        key: Some(key.to_owned()),
        seq: Some(n.to_string()),
        kind: "order.changed",
        body: format!(r#"{{"order":"{key}","n":{n}}}"#),
    }
}

impl Webhook {
    pub(super) fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    pub(super) fn seq(mut self, seq: Option<&str>) -> Self {
        self.seq = seq.map(ToOwned::to_owned);
        self
    }

    pub(super) fn no_key(mut self) -> Self {
        self.key = None;
        self
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}
