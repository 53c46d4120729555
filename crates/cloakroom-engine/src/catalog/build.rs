//! From the configuration to a catalog.

use std::sync::Arc;

use cloakroom_core::config::{self, Ack, Config, Order, SourceRef};
use cloakroom_core::id::{SourceName, SubscriptionName};
use cloakroom_core::ordering::{First, GapAction, GapPolicy, LatePolicy, Rule};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::select::Selector;
use cloakroom_core::text::Mistake;
use cloakroom_core::verify::{Scheme, SchemeError, SchemeName, Verifier};

use super::rotation::{ResolveAll, Rotating};
use super::{Catalog, Exhausted, InBody, Interest, Route, STATE_SOURCE, Source, Subscription};
use crate::ports::Sink;

/// Reads the secret that a reference leads to. The error says why it cannot, as a lower-case fragment.
pub type Resolve<'a> = dyn Fn(&SecretRef) -> Result<Secret, String> + 'a;

/// Why a configuration that reads well cannot be put to work, with its path and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A reference leads to no secret.
    #[error(
        "{path}: `{reference}` could not be read: {reason}; {}",
        remedy(reference)
    )]
    Secret {
        /// Where the reference stands.
        path: String,
        /// The reference.
        reference: SecretRef,
        /// Why it could not be read.
        reason: String,
    },
    /// A secret is not what the scheme takes.
    #[error("{path}: {error}")]
    Scheme {
        /// The key that is wrong.
        path: String,
        /// What is wrong with it.
        error: SchemeError,
    },
    /// A sink that cannot be served here.
    #[error("{path}: {mistake}")]
    Sink {
        /// The sink or its key that is wrong.
        path: String,
        /// What is wrong with it.
        mistake: Mistake,
    },
}

impl BuildError {
    /// Where in the configuration the mistake is, e.g. `sources.transfers.verify.secrets[0]`.
    pub fn path(&self) -> &str {
        match self {
            Self::Secret { path, .. } | Self::Scheme { path, .. } | Self::Sink { path, .. } => path,
        }
    }

    /// Reads a secret for the key at `path`.
    ///
    /// # Errors
    /// When the reference leads to none.
    pub fn resolve(
        resolve: &Resolve<'_>,
        path: impl Into<String>,
        reference: &SecretRef,
    ) -> Result<Secret, Self> {
        resolve(reference).map_err(|reason| Self::Secret {
            path: path.into(),
            reference: reference.clone(),
            reason,
        })
    }
}

fn remedy(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("set the environment variable `{name}`"),
        SecretRef::File(path) => format!(
            "put the secret into the file `{}`, and let this process read it",
            path.display()
        ),
        SecretRef::AwsSecret(name) => {
            format!("create the secret `{name}`, and let this process read it")
        }
    }
}

impl Catalog {
    /// Puts a checked configuration to work. `sink` is asked for every subscription that is not pulled. Without a `resolve`
    /// no secret of a source is read, and no webhook is taken for genuine: for hosts that see none.
    ///
    /// # Errors
    /// Everything that is wrong, sources first: missing secrets, secrets that the scheme does not take, and what `sink` says.
    pub fn build(
        config: &Config,
        resolve: Option<&Resolve<'_>>,
        mut sink: impl FnMut(
            &SubscriptionName,
            &config::Subscription,
        ) -> Result<Arc<dyn Sink>, BuildError>,
    ) -> Result<Self, Vec<BuildError>> {
        let mut errors = Vec::new();
        let mut sources = Vec::new();
        for (name, configured) in &config.sources {
            let verifier = resolve.map_or(Ok(Rotating::closed()), |resolve| {
                let resolve = |reference: &SecretRef| Ok(vec![resolve(reference)?]);
                verifier(name, configured, &resolve).map(Rotating::from)
            });
            match verifier {
                Ok(verifier) => sources.push(source(config, name, configured, verifier)),
                Err(found) => errors.extend(found),
            }
        }
        let mut subscriptions = Vec::new();
        for (name, configured) in &config.subscriptions {
            let route = match &configured.sink {
                config::Sink::Pull(pull) => Ok(Route::Pull {
                    lease: pull.lease.get(),
                }),
                _ => sink(name, configured).map(Route::Push),
            };
            match route {
                Ok(route) => subscriptions.push(subscription(config, name, configured, route)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Self::new(sources, subscriptions))
        } else {
            Err(errors)
        }
    }
}

/// What checks the signatures of a source.
pub(super) fn verifier(
    name: &SourceName,
    configured: &config::Source,
    resolve: &ResolveAll<'_>,
) -> Result<Verifier, Vec<BuildError>> {
    let open = Scheme::new(SchemeName::None);
    let scheme = configured.verify.as_ref().unwrap_or(&open);
    let path = format!("sources.{name}.verify");
    let (mut secrets, mut errors) = (Vec::new(), Vec::new());
    for (index, reference) in scheme.secrets.iter().enumerate() {
        match resolve(reference) {
            Ok(found) => secrets.extend(found),
            Err(reason) => errors.push(BuildError::Secret {
                path: format!("{path}.secrets[{index}]"),
                reference: reference.clone(),
                reason,
            }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Verifier::new(scheme, &secrets).map_err(|error| {
        vec![BuildError::Scheme {
            path: format!("{path}.{}", error.path()),
            error,
        }]
    })
}

fn source(
    config: &Config,
    name: &SourceName,
    configured: &config::Source,
    verifier: Rotating,
) -> Source {
    let max_payload = configured.max_payload;
    Source {
        name: name.clone(),
        generation: configured.generation,
        rule: rule(&configured.order),
        ordering: ordering(configured),
        verifier,
        id: configured.identity(),
        key: configured.key.clone(),
        event_type: configured.event_type(),
        time: configured.time.clone(),
        at: configured.order.at().cloned(),
        max_payload: max_payload.unwrap_or(config.claims.max_payload).get(),
        ack_delivered: match configured.ack {
            Ack::Stored => None,
            Ack::Delivered { timeout } => Some(timeout.get()),
        },
        in_body: InBody::default(),
    }
}

fn rule(order: &Order) -> Rule {
    match order {
        Order::Dense {
            first, gap, late, ..
        } => Rule::Dense {
            first: match first {
                config::First::Number(number) => First::Number(*number),
                config::First::Lowest(hold) => First::Lowest { hold: hold.get() },
            },
            gap: GapPolicy {
                after: gap.after.get(),
                then: match gap.then {
                    config::GapPolicy::Wait => GapAction::Wait,
                    config::GapPolicy::Skip => GapAction::Skip,
                },
                max: gap.max,
            },
            late: late_policy(*late),
        },
        Order::Sparse { hold, late, .. } => Rule::Sparse {
            hold: hold.get(),
            late: late_policy(*late),
        },
        Order::Version { .. } => Rule::Version,
        Order::Arrival => Rule::Arrival,
    }
}

fn late_policy(late: config::Late) -> LatePolicy {
    match late {
        config::Late::Deliver => LatePolicy::Deliver,
        config::Late::Quarantine => LatePolicy::Quarantine,
    }
}

/// What the streams of a source depend on. This text is stored: its form must never change.
fn ordering(source: &config::Source) -> String {
    let kind = match source.order {
        Order::Dense { .. } => "dense",
        Order::Sparse { .. } => "sparse",
        Order::Version { .. } => "version",
        Order::Arrival => "arrival",
    };
    let at = source.order.at().map_or_else(|| "-".to_owned(), canonical);
    format!("{kind} {at} {}", canonical(&source.key))
}

/// A selector in the one form for all that find the same: a header's name counts in any case.
fn canonical(selector: &Selector) -> String {
    match selector {
        Selector::Header(name) => format!("header:{}", name.to_ascii_lowercase()),
        other => other.to_string(),
    }
}

fn subscription(
    config: &Config,
    name: &SubscriptionName,
    configured: &config::Subscription,
    route: Route,
) -> Subscription {
    let retry = configured.retry;
    Subscription {
        name: name.clone(),
        sources: interest(config, &configured.sources),
        filter: configured.filter.clone(),
        route,
        retry: RetryPolicy {
            attempts: retry.attempts,
            base: retry.base.get(),
            max: retry.max.get(),
        },
        exhausted: match configured.exhausted {
            config::Exhausted::Park => Exhausted::Park,
            config::Exhausted::DeadLetter => Exhausted::DeadLetter,
        },
        from_earliest: configured.from == config::From::Earliest,
        enabled: configured.enabled,
    }
}

fn interest(config: &Config, sources: &[SourceRef]) -> Interest {
    let named = sources.iter().filter_map(|source| match source {
        SourceRef::Named(name) => Some(name.clone()),
        SourceRef::All => None,
    });
    if !sources.contains(&SourceRef::All) {
        return Interest::Named(named.collect());
    }
    // `*` leaves out the state changes, so with them it has to be spelled out.
    let states = named.filter(|name| name.as_str() == STATE_SOURCE);
    match states.collect::<Vec<_>>() {
        states if states.is_empty() => Interest::All,
        states => Interest::Named(config.sources.keys().cloned().chain(states).collect()),
    }
}
