//! The configuration as the workers use it: compiled once, looked up often.

mod build;
mod rotation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use build::{BuildError, Resolve};
pub use cloakroom_core::config::STATE_SOURCE;
use cloakroom_core::id::{SourceName, StreamId, SubscriptionName};
use cloakroom_core::ordering::Rule;
use cloakroom_core::pattern::Pattern;
use cloakroom_core::position::Position;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::select::Selector;
pub use rotation::{ResolveAll, Rotating};

use crate::bell::{Bell, Due};
use crate::intake::Compiled;
use crate::ports::Sink;

/// Every source and subscription there is.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By configured name.
    sources: BTreeMap<SourceName, Arc<Source>>,
    /// By the name in stream ids, which has the generation in it.
    by_stream_source: BTreeMap<SourceName, Arc<Source>>,
    subscriptions: BTreeMap<SubscriptionName, Arc<Subscription>>,
    has_state_subscribers: bool,
}

/// An inbound endpoint.
pub struct Source {
    /// Its configured name.
    pub name: SourceName,
    /// Distinguishes streams made under different orderings; 1 at first.
    pub generation: u32,
    /// What orders its streams.
    pub rule: Rule,
    /// What its streams depend on, as text: `<kind> <at> <key>`, `-` where there is no `at`. May only change with the
    /// generation.
    pub ordering: String,
    /// Checks signatures.
    pub verifier: Rotating,
    /// Find the identity, the first that finds something; the payload's hash where none does.
    pub id: Vec<Selector>,
    /// Finds the ordering key.
    pub key: Selector,
    /// Finds the CloudEvents `type`; `cloakroom.<source>.received` where there is none.
    pub event_type: Option<Selector>,
    /// Finds when the event happened.
    pub time: Option<Selector>,
    /// Finds the place in the stream; `None` under `arrival`.
    pub at: Option<Selector>,
    /// The largest payload taken, in bytes.
    pub max_payload: u64,
    /// How long a sender may wait for consumers to have the event; `None` answers once it is stored.
    pub ack_delivered: Option<Duration>,
    /// What its selectors look for in bodies.
    pub in_body: InBody,
}

/// The pointers of a source's selectors, compiled with the first webhook.
#[derive(Debug, Default)]
pub struct InBody(OnceLock<Arc<Compiled>>);

impl InBody {
    pub(crate) fn compiled(&self, compile: impl FnOnce() -> Compiled) -> &Arc<Compiled> {
        self.0.get_or_init(|| Arc::new(compile()))
    }
}

impl Source {
    /// The name of this source in stream ids: its own, with the generation behind `@` from the second on.
    pub fn stream_source(&self) -> SourceName {
        match self.generation {
            0 | 1 => self.name.clone(),
            generation => format!("{}@{generation}", self.name).into(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

/// A consumer.
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// What it listens to.
    pub sources: Interest,
    /// Which events it wants; all of them if `None`.
    pub filter: Option<Pattern>,
    /// Where its events go.
    pub route: Route,
    /// When to try again.
    pub retry: RetryPolicy,
    /// What happens when every try is spent.
    pub exhausted: Exhausted,
    /// Whether events accepted before the name was first configured are sent too.
    pub from_earliest: bool,
    /// Whether it is switched off in the configuration.
    pub enabled: bool,
}

/// Which sources a subscription listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Every configured source, but not Cloakroom's own state changes.
    All,
    /// These, by configured name.
    Named(Vec<SourceName>),
}

/// Where a subscription's events go.
#[derive(Clone)]
pub enum Route {
    /// They are sent.
    Push(Arc<dyn Sink>),
    /// They wait to be fetched and acknowledged.
    Pull {
        /// How long a fetched batch is reserved.
        lease: Duration,
    },
}

/// What happens when every try is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Stop, keeping the order, until an operator decides.
    Park,
    /// Pass the event over, on record.
    DeadLetter,
}

impl Subscription {
    /// Whether events of `stream` concern this subscription at all.
    pub fn listens_to(&self, stream: &StreamId) -> bool {
        let source = configured_name(&stream.source);
        match &self.sources {
            Interest::All => source != STATE_SOURCE,
            Interest::Named(names) => names.iter().any(|name| name.as_str() == source),
        }
    }

    /// Whether it listens to Cloakroom's own state changes. What happens to its deliveries is then not one of them.
    pub fn listens_to_state(&self) -> bool {
        matches!(&self.sources, Interest::Named(names) if names.iter().any(|name| name.as_str() == STATE_SOURCE))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Puts a catalog together.
    pub fn new(
        sources: impl IntoIterator<Item = Source>,
        subscriptions: impl IntoIterator<Item = Subscription>,
    ) -> Self {
        let sources: Vec<_> = sources.into_iter().map(Arc::new).collect();
        let subscriptions: BTreeMap<_, _> = subscriptions
            .into_iter()
            .map(|s| (s.name.clone(), Arc::new(s)))
            .collect();
        Self {
            by_stream_source: sources
                .iter()
                .map(|s| (s.stream_source(), Arc::clone(s)))
                .collect(),
            sources: sources.into_iter().map(|s| (s.name.clone(), s)).collect(),
            has_state_subscribers: subscriptions.values().any(|s| s.listens_to_state()),
            subscriptions,
        }
    }

    /// The source configured under this name.
    pub fn source(&self, name: &str) -> Option<&Arc<Source>> {
        self.sources.get(&SourceName::from(name))
    }

    /// Every source, by name.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }

    /// The subscription configured under this name.
    pub fn subscription(&self, name: &SubscriptionName) -> Option<&Arc<Subscription>> {
        self.subscriptions.get(name)
    }

    /// Every subscription, by name.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscriptions.values()
    }

    /// The subscriptions that events of `stream` concern.
    pub fn subscribers<'a>(
        &'a self,
        stream: &'a StreamId,
    ) -> impl Iterator<Item = &'a Arc<Subscription>> {
        self.subscriptions.values().filter(|s| s.listens_to(stream))
    }

    /// The bells for whom a head of `stream` at `released_up_to` concerns. Nobody is rung for what is fetched.
    pub fn dispatch(&self, stream: &StreamId, released_up_to: &Position) -> Vec<Bell> {
        self.subscribers(stream)
            .filter(|subscription| matches!(subscription.route, Route::Push(_)))
            .map(|subscription| Bell {
                due: Due::Deliver(subscription.name.clone(), stream.clone()),
                at: None,
                released_up_to: Some(released_up_to.clone()),
            })
            .collect()
    }

    /// What orders `stream`. `None` when its source is not configured (any more, or in this generation): such a stream
    /// stands still.
    pub fn rule(&self, stream: &StreamId) -> Option<&Rule> {
        if stream.source.as_str() == STATE_SOURCE {
            return Some(&Rule::Arrival);
        }
        self.by_stream_source
            .get(&stream.source)
            .map(|source| &source.rule)
    }

    /// Whether any subscription listens to state changes; otherwise none are recorded.
    pub fn has_state_subscribers(&self) -> bool {
        self.has_state_subscribers
    }
}

/// The configured name in a stream's source name: without the generation.
pub fn configured_name(source: &SourceName) -> &str {
    source
        .as_str()
        .split_once('@')
        .map_or(source.as_str(), |(name, _)| name)
}
