//! What is configured: drawn from chance, changed in the middle of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::event::{Body, Event, Payload};
use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use cloakroom_core::pattern::{Dialect, Pattern};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::verify::Verifier;
use cloakroom_engine::Settings;
use cloakroom_engine::catalog::{
    Catalog, Exhausted, InBody, Interest, Route, STATE_SOURCE, Source, Subscription,
    configured_name,
};

use crate::chance::Chance;
use crate::consumer::{Connection, Consumer};
use crate::life::Life;
use crate::provider::{scheme, secret};
use crate::time::secs;
use crate::trace::Trace;

/// The ordering keys.
pub const KEYS: [&str; 3] = ["A", "B", "Ü/ c"];
/// The same and some more.
pub const MORE_KEYS: [&str; 8] = ["A", "B", "Ü/ c", "D", "E", "F", "G", "H"];
/// The one type that a filtering subscription wants.
pub const WANTED: &str = "order.changed";
/// What stands in the payloads that a subscription wants that looks into them.
pub const WANTED_SIDE: &str = "left";

/// What a subscription wants, when not everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Events of the type [`WANTED`].
    Type,
    /// Events whose payload says [`WANTED_SIDE`], as far as payloads are small enough to travel inside the event.
    Data,
}

/// A configuration.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The sources.
    pub sources: Vec<SourcePlan>,
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionPlan>,
    /// Sizes and times.
    pub settings: Settings,
}

/// An inbound endpoint.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Its name.
    pub name: &'static str,
    /// What orders its streams.
    pub rule: Rule,
    /// Which generation of its streams.
    pub generation: u32,
    /// How long a provider may wait until every consumer has its event; `None` answers at once.
    pub ack_delivered: Option<Duration>,
}

/// A consumer's side of the configuration.
#[derive(Debug, Clone)]
pub struct SubscriptionPlan {
    /// Its name.
    pub name: &'static str,
    /// The sources it names; all of them if `None`.
    pub sources: Option<Vec<&'static str>>,
    /// What it wants; everything if `None`.
    pub filter: Option<Filter>,
    /// What becomes of an event after every try.
    pub dead_letters: bool,
    /// How often it is tried.
    pub attempts: u32,
    /// Whether it wants what was accepted before it was configured.
    pub earliest: bool,
    /// Whether it fetches.
    pub pulls: bool,
}

impl SourcePlan {
    /// What its streams depend on, as the engine remembers it.
    pub fn ordering(&self) -> String {
        match self.rule {
            Rule::Dense { .. } => "dense",
            Rule::Sparse { .. } => "sparse",
            Rule::Version => "version",
            Rule::Arrival => "arrival",
        }
        .to_owned()
    }

    /// Its name in stream ids.
    pub fn stream_source(&self) -> String {
        Self::in_generation(self.name, self.generation)
    }

    fn in_generation(name: &str, generation: u32) -> String {
        match generation {
            1 => name.to_owned(),
            generation => format!("{name}@{generation}"),
        }
    }

    /// The name in stream ids of this generation, or of one before it.
    pub fn some_stream_source(&self, chance: &Chance) -> String {
        let back = chance.below(2 * u64::from(self.generation)) / 2;
        let generation = self.generation - u32::try_from(back).expect("it is small");
        Self::in_generation(self.name, generation)
    }

    fn build(&self) -> Source {
        let find = |text: &str| text.parse().expect("a selector of the simulation is valid");
        let verifier = Verifier::new(&scheme(), &[secret(self.name)]);
        Source {
            name: self.name.into(),
            generation: self.generation,
            ordering: self.ordering(),
            rule: self.rule.clone(),
            verifier: verifier.expect("the secret is of its scheme").into(),
            id: vec![find("header:webhook-id")],
            key: find("header:x-key"),
            event_type: Some(find("header:x-type")),
            time: None,
            at: (self.rule != Rule::Arrival).then(|| find("header:x-seq")),
            max_payload: 1 << 20,
            ack_delivered: self.ack_delivered,
            in_body: InBody::default(),
        }
    }
}

impl SubscriptionPlan {
    /// Whether events of this source (by its name in stream ids) concern it.
    pub fn listens_to(&self, stream_source: &str) -> bool {
        let name = configured_name(&stream_source.into()).to_owned();
        match &self.sources {
            None => name != STATE_SOURCE,
            Some(names) => names.contains(&name.as_str()),
        }
    }

    /// Whether it listens to Cloakroom's own state changes.
    pub fn listens_to_state(&self) -> bool {
        self.listens_to(STATE_SOURCE)
    }

    /// Whether it wants this event, when it was accepted at or after `since`. `has_side` tells of a payload whether the filter
    /// can see [`WANTED_SIDE`] in it.
    pub fn wants(&self, event: &Event, since: i64, has_side: impl Fn(&Payload) -> bool) -> bool {
        self.listens_to(event.stream.source.as_str())
            && !matches!(event.body, Body::Placeholder)
            && event.recorded.as_micros() >= since
            && match self.filter {
                None => true,
                Some(Filter::Type) => event.event_type == WANTED,
                Some(Filter::Data) => event.payload().is_some_and(has_side),
            }
    }

    fn build(
        &self,
        consumers: &BTreeMap<&'static str, Arc<Consumer>>,
        life: &Life,
        trace: &Arc<Trace>,
    ) -> Subscription {
        let filter = |filter| {
            let text = match filter {
                Filter::Type => format!(r#"{{"type":["{WANTED}"]}}"#),
                Filter::Data => format!(r#"{{"data":{{"side":["{WANTED_SIDE}"]}}}}"#),
            };
            let value = serde_json::from_str(&text).expect("the filter is JSON");
            Pattern::parse(&value, Dialect::EventBridge).expect("the filter is one")
        };
        let route = match self.pulls {
            true => Route::Pull { lease: secs(30) },
            false => Route::Push(Arc::new(Connection {
                subscription: self.name.into(),
                consumer: Arc::clone(&consumers[self.name]),
                life: life.clone(),
                trace: Arc::clone(trace),
            })),
        };
        Subscription {
            name: self.name.into(),
            sources: match &self.sources {
                None => Interest::All,
                Some(names) => Interest::Named(names.iter().map(|name| (*name).into()).collect()),
            },
            filter: self.filter.map(filter),
            route,
            retry: RetryPolicy {
                attempts: self.attempts,
                base: secs(1),
                max: secs(30),
            },
            exhausted: match self.dead_letters {
                true => Exhausted::DeadLetter,
                false => Exhausted::Park,
            },
            from_earliest: self.earliest,
            enabled: true,
        }
    }
}

impl Plan {
    /// The configuration that a run begins with. `may_pull`: some process stays to be asked.
    pub fn first(chance: &Chance, may_pull: bool) -> Self {
        let push = |name| SubscriptionPlan {
            name,
            sources: None,
            filter: None,
            dead_letters: chance.percent(50),
            attempts: u32::try_from(2 + chance.below(3)).expect("it is small"),
            earliest: false,
            pulls: false,
        };
        let mut subscriptions = vec![push("plain"), push("batch"), push("fifo")];
        if chance.percent(25) {
            subscriptions.push(SubscriptionPlan {
                sources: Some(vec![STATE_SOURCE]),
                ..push("watch")
            });
        }
        subscriptions[0].filter =
            chance.pick(&[None, None, None, Some(Filter::Type), Some(Filter::Data)]);
        subscriptions[1].filter = chance.pick(&[None, None, None, None, Some(Filter::Data)]);
        if may_pull {
            let pull = SubscriptionPlan {
                pulls: true,
                ..push("pull")
            };
            subscriptions.push(pull);
        }
        let mut plan = Self {
            sources: sources(chance),
            subscriptions,
            settings: Settings {
                inline_max: chance.pick(&[0, 60, 16 * 1024]),
                ledger_only_max: chance.pick(&[0, 0, 70]),
                retention: Duration::from_secs(30 * 24 * 60 * 60),
            },
        };
        if chance.percent(30) {
            plan.acknowledge_delivered(chance);
        }
        plan
    }

    /// Another configuration that may follow this one.
    pub fn next(&self, chance: &Chance) -> Self {
        let mut next = self.clone();
        match chance.below(9) {
            0 if next.subscription("later").is_none() => {
                next.subscriptions.push(SubscriptionPlan {
                    name: "later",
                    sources: Some(vec!["orders", "states"]),
                    filter: None,
                    dead_letters: false,
                    attempts: 3,
                    earliest: chance.percent(50),
                    pulls: false,
                });
            }
            1 => {
                for source in &mut next.sources {
                    if let Rule::Dense { gap, .. } = &mut source.rule {
                        gap.then = match gap.then {
                            GapAction::Wait => GapAction::Skip,
                            GapAction::Skip => GapAction::Wait,
                        };
                    }
                }
            }
            2 => {
                let one = chance.index(next.subscriptions.len());
                next.subscriptions[one].dead_letters ^= true;
            }
            3 => next.subscriptions.retain(|one| one.name != "later"),
            4 => {
                for source in &mut next.sources {
                    if let Rule::Sparse { late, .. } | Rule::Dense { late, .. } = &mut source.rule {
                        *late = chance.pick(&[LatePolicy::Deliver, LatePolicy::Quarantine]);
                    }
                }
            }
            5 | 6 => next.begin_generation(chance),
            7 => next.acknowledge_delivered(chance),
            _ => {}
        }
        next
    }

    /// Providers of a source wait for consumers from now on, or do so no more.
    fn acknowledge_delivered(&mut self, chance: &Chance) {
        let one = chance.index(self.sources.len());
        let ack = &mut self.sources[one].ack_delivered;
        *ack = match ack {
            None => Some(secs(chance.pick(&[3, 8]))),
            Some(_) => None,
        };
    }

    /// A source begins new streams, perhaps ordered in another way.
    fn begin_generation(&mut self, chance: &Chance) {
        let one = chance.index(self.sources.len());
        let ordered = sources(chance);
        let source = &mut self.sources[one];
        source.generation += 1;
        if chance.percent(50) {
            source.rule = ordered[chance.index(ordered.len())].rule.clone();
        }
    }

    /// A configuration that must be refused: a source ordered otherwise in the same generation, or an earlier generation.
    pub fn reordered(&self, chance: &Chance) -> Self {
        let mut next = self.clone();
        let one = chance.index(next.sources.len());
        if next.sources[one].generation > 1 && chance.percent(30) {
            next.sources[one].generation -= 1;
            return next;
        }
        let rule = &mut next.sources[one].rule;
        *rule = match rule {
            Rule::Version => Rule::Arrival,
            _ => Rule::Version,
        };
        next
    }

    /// The subscription of this name.
    pub fn subscription(&self, name: &str) -> Option<&SubscriptionPlan> {
        self.subscriptions.iter().find(|one| one.name == name)
    }

    /// Whether state changes are told.
    pub fn tells_state(&self) -> bool {
        let mut subscriptions = self.subscriptions.iter();
        subscriptions.any(SubscriptionPlan::listens_to_state)
    }

    /// Whether heads of this source (by its name in stream ids) move.
    pub fn releases(&self, stream_source: &str) -> bool {
        stream_source == STATE_SOURCE || self.source_of(stream_source).is_some()
    }

    /// The source whose streams have this source name.
    pub fn source_of(&self, stream_source: &str) -> Option<&SourcePlan> {
        let is_it = |source: &&SourcePlan| source.stream_source() == stream_source;
        self.sources.iter().find(is_it)
    }

    /// What the engine is told, for one process.
    pub fn build(
        &self,
        consumers: &BTreeMap<&'static str, Arc<Consumer>>,
        life: &Life,
        trace: &Arc<Trace>,
    ) -> Catalog {
        let subscriptions = self.subscriptions.iter();
        Catalog::new(
            self.sources.iter().map(SourcePlan::build),
            subscriptions.map(|one| one.build(consumers, life, trace)),
        )
    }
}

fn sources(chance: &Chance) -> Vec<SourcePlan> {
    let source = |name, rule| SourcePlan {
        name,
        rule,
        generation: 1,
        ack_delivered: None,
    };
    let late = chance.pick(&[
        LatePolicy::Deliver,
        LatePolicy::Deliver,
        LatePolicy::Quarantine,
    ]);
    let dense = |first, max| Rule::Dense {
        first,
        gap: GapPolicy {
            after: secs(chance.pick(&[10, 60])),
            then: chance.pick(&[GapAction::Skip, GapAction::Wait]),
            max,
        },
        late,
    };
    let lowest = First::Lowest { hold: secs(3) };
    vec![
        source(
            "orders",
            dense(First::Number(chance.pick(&[0, 1, 3])), 10_000),
        ),
        source("found", dense(lowest, chance.pick(&[2, 10_000]))),
        source(
            "held",
            Rule::Sparse {
                hold: secs(5),
                late,
            },
        ),
        source("states", Rule::Version),
        source("news", Rule::Arrival),
    ]
}
