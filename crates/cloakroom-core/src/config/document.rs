//! The whole file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claims::{Claims, StoreWord};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::server::{ListenAddr, Server};
use super::source::Source;
use super::subscription::Subscription;
use super::yaml::{self, Node, Places, ReadError, Reader, Value};
use super::{check, warn};
use crate::id::{SourceName, SubscriptionName};
use crate::secret::SecretRef;
use crate::text::did_you_mean;

/// The configuration of Cloakroom: one file for the embedded and the AWS form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How payloads are stored and fetched.
    pub claims: Claims,
    /// The endpoints that providers send to, by name: `POST /in/<name>`.
    #[schemars(with = "BTreeMap<String, Source>")]
    pub sources: BTreeMap<SourceName, Source>,
    /// The consumers, by name.
    #[schemars(with = "BTreeMap<String, Subscription>")]
    pub subscriptions: BTreeMap<SubscriptionName, Subscription>,
    /// Where Cloakroom listens and what it takes on.
    pub server: Server,
    #[serde(skip)]
    pub(super) places: Places,
}

/// What the command line says in place of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// In place of `server.listen`.
    pub listen: Option<ListenAddr>,
    /// In place of `server.data_dir`.
    pub data_dir: Option<PathBuf>,
}

/// The keys of the document.
const SECTIONS: [&str; 4] = ["claims", "sources", "subscriptions", "server"];

impl Config {
    /// Every reference to a secret, for whoever must fetch them beforehand.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let of_both = self.source_secrets().chain(self.sink_secrets());
        of_both.chain(&self.server.admin_token)
    }

    /// The references in `sources`: for whoever checks signatures.
    pub fn source_secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let sources = self.sources.values();
        let schemes = sources.filter_map(|source| source.verify.as_ref());
        schemes.flat_map(|scheme| &scheme.secrets)
    }

    /// The references in the sinks of `subscriptions`: for whoever delivers.
    pub fn sink_secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.subscriptions.values().flat_map(|s| s.sink.secrets())
    }

    /// Reads and checks a configuration file (YAML, and so JSON too). An empty one means the defaults.
    ///
    /// # Errors
    /// A syntax error alone; or else, for every section, source and subscription, the first value that cannot be read;
    /// or else every rule that is broken.
    pub fn parse(text: &str) -> Result<Self, Diagnostics> {
        Self::parse_with(text, &Overrides::default())
    }

    /// [`Config::parse`] with what the command line overrides in place before the rules are checked, because some of
    /// them depend on the listen address.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_with(text: &str, overrides: &Overrides) -> Result<Self, Diagnostics> {
        let (root, places) = yaml::parse(text)?;
        let mut reading = Reading {
            places: &places,
            problems: Vec::new(),
        };
        let mut config = reading.document(&root);
        Diagnostics::check(reading.problems)?;
        if let Some(listen) = overrides.listen {
            config.server.listen = listen;
        }
        if let Some(data_dir) = &overrides.data_dir {
            config.server.data_dir.clone_from(data_dir);
        }
        config.places = places;
        Diagnostics::check(check::check(&config))?;
        if config.claims.above.is_none() {
            config.claims.store = Some(StoreWord::Always);
        }
        Ok(config)
    }

    /// What is allowed, but probably not meant or not wise.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        let mut warnings = warn::warnings(self);
        warnings.sort();
        warnings
    }
}

/// Reads section by section, so that a mistake in one does not hide those in the others.
struct Reading<'a> {
    places: &'a Places,
    problems: Vec<Diagnostic>,
}

impl Reading<'_> {
    fn document(&mut self, root: &Node) -> Config {
        let mut config = Config::default();
        for (key, value) in self.entries("", root) {
            match key.key() {
                "claims" => config.claims = self.value("claims", value).unwrap_or_default(),
                "sources" => config.sources = self.named("sources", value),
                "subscriptions" => config.subscriptions = self.named("subscriptions", value),
                "server" => config.server = self.value("server", value).unwrap_or_default(),
                other => {
                    let hint = did_you_mean(other, &SECTIONS, "keys");
                    self.problems
                        .push(self.places.diagnose_key(other, "unknown key", Some(hint)));
                }
            }
        }
        config
    }

    fn named<'n, N, T>(&mut self, section: &str, node: &'n Node) -> BTreeMap<N, T>
    where
        N: Ord + From<&'n str>,
        T: Deserialize<'n>,
    {
        let mut all = BTreeMap::new();
        for (name, value) in self.entries(section, node) {
            if let Some(value) = self.value(&yaml::child(section, name.key()), value) {
                all.insert(N::from(name.key()), value);
            }
        }
        all
    }

    fn entries<'n>(&mut self, path: &str, node: &'n Node) -> &'n [(Node, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                let message = format!("expected a mapping, found {}", other.describe());
                self.problems.push(self.places.diagnose(
                    path,
                    message,
                    "write keys and values: `key: value`",
                ));
                &[]
            }
        }
    }

    fn value<'n, T: Deserialize<'n>>(&mut self, path: &str, node: &'n Node) -> Option<T> {
        match T::deserialize(Reader::or_empty(node)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(self.diagnose(path, error));
                None
            }
        }
    }

    fn diagnose(&self, path: &str, error: ReadError) -> Diagnostic {
        let path = yaml::join(path, &error.path);
        let hint = error
            .hint
            .or_else(|| error.missing.and_then(|key| add_key(&path, key)));
        match (error.on_key, hint) {
            (false, Some(hint)) => self.places.diagnose(&path, error.message, hint),
            (_, hint) => self.places.diagnose_key(&path, error.message, hint),
        }
    }
}

/// How to add a key that is missing, with the example of its documentation.
fn add_key(path: &str, key: &str) -> Option<String> {
    let explained = Config::explain(&yaml::child(path, key))?;
    Some(match explained.example {
        Some(example) => format!("add it, e.g. `{key}: {example}`"),
        None => format!("add `{key}: …`, {}", explained.type_name),
    })
}
