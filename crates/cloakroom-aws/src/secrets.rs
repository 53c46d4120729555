//! Secrets from Secrets Manager (`aws-secret:NAME-or-ARN`), kept for a while.
//!
//! A secret is read with its neighbours in rotation: `AWSCURRENT` first, then `AWSPENDING` (the next one, which a
//! provider may begin to sign with before the rotation is finished) and `AWSPREVIOUS` (which it may go on signing with).
//! Whoever checks signatures takes all of them, whoever makes them takes the first; so a rotation refuses nobody.
//!
//! What was read is handed out for [`TTL`]. After that it is read again by whoever asks next, one at a time; while Secrets
//! Manager cannot be reached, the old value goes on being used, because refusing every webhook would be worse.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::{
    GetSecretValueError, GetSecretValueOutput,
};
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::Clock;
use futures::future::join_all;
use tokio::sync::Mutex;

use crate::client::within;
use crate::fault::{Refused, refused};

/// How long a secret is handed out before it is read again.
pub const TTL: Duration = Duration::from_secs(5 * 60);

/// How long nobody asks again after Secrets Manager could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long one request may take, with the tries that the SDK makes.
const TIMEOUT: Duration = Duration::from_secs(10);

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Why there is no secret. Never shows one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is none of this name.
    #[error("the secret does not exist in this Region; create it, or name it by its ARN")]
    Missing,
    /// This process may not read it.
    #[error(
        "not allowed to call secretsmanager:GetSecretValue on it ({0}); allow it in the policy of this process's role, and kms:Decrypt on the secret's key"
    )]
    Denied(String),
    /// It is there, but has no value (yet).
    #[error("it has no value; give it one")]
    Empty,
    /// Secrets Manager cannot be reached, and the secret was never read before.
    #[error("Secrets Manager cannot be asked: {0}; trying again may help")]
    Unavailable(String),
}

/// A secret with what stands in for it while it is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// What to sign with.
    pub current: Secret,
    /// What to accept as well: the next one and the one before, where there are such.
    pub others: Vec<Secret>,
}

impl Rotation {
    /// All of them, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.others)
    }
}

/// Reads secrets, and remembers them. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    sdk: SdkConfig,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    /// By Region; secrets named by ARN may be elsewhere.
    clients: StdMutex<HashMap<Option<String>, Client>>,
    entries: StdMutex<HashMap<String, Arc<Entry>>>,
}

/// One secret. The lock is held while it is read, so that only one reads it.
#[derive(Default)]
struct Entry {
    reading: Mutex<()>,
    known: StdMutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    rotation: Rotation,
    fresh_until: Timestamp,
}

impl Entry {
    fn known(&self) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn keep(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

impl Secrets {
    /// Reads with this configuration. Makes no request.
    pub fn new(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self::with_ttl(sdk, clock, TTL)
    }

    /// As [`Secrets::new`], with another time for which secrets are handed out.
    pub fn with_ttl(sdk: &SdkConfig, clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            sdk: sdk.clone(),
            clock,
            ttl,
            clients: StdMutex::default(),
            entries: StdMutex::default(),
        }))
    }

    /// The secret with this name or ARN: what is remembered when that is fresh, otherwise what Secrets Manager has.
    ///
    /// # Errors
    /// When it cannot be read and was never read before. One that was deleted, or may not be read any more, is an error
    /// once what is remembered is not fresh.
    pub async fn get(&self, name: &str) -> Result<Rotation, SecretError> {
        let entry = self.entry(name);
        let fresh = |known: &Known| self.0.clock.now() < known.fresh_until;
        if let Some(known) = entry.known().filter(fresh) {
            return Ok(known.rotation);
        }
        let _reading = entry.reading.lock().await;
        let known = entry.known();
        if let Some(known) = known.clone().filter(fresh) {
            return Ok(known.rotation);
        }
        match self.read(name).await {
            Ok(read) => {
                entry.keep(read.clone());
                Ok(read.rotation)
            }
            Err(error @ SecretError::Unavailable(_)) => {
                let Some(mut stale) = known else {
                    return Err(error);
                };
                tracing::warn!(secret = name, %error, "a secret could not be read again; the one read before is used");
                stale.fresh_until = self.0.clock.now().after(RETRY_AFTER.min(self.0.ttl));
                entry.keep(stale.clone());
                Ok(stale.rotation)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads all of these that are in Secrets Manager, at once: what [`Secrets::remembered`] then hands out. Those that
    /// cannot be read are remembered by nobody, and come back with the reason.
    pub async fn load<'a>(
        &self,
        references: impl IntoIterator<Item = &'a SecretRef>,
    ) -> BTreeMap<SecretRef, SecretError> {
        let names = references
            .into_iter()
            .filter_map(|reference| match reference {
                SecretRef::AwsSecret(name) => Some((reference.clone(), name.clone())),
                SecretRef::Env(_) | SecretRef::File(_) => None,
            });
        let names: BTreeMap<SecretRef, String> = names.collect();
        let read = names
            .into_iter()
            .map(async |(reference, name)| self.get(&name).await.err().map(|e| (reference, e)));
        join_all(read).await.into_iter().flatten().collect()
    }

    /// What was read last, fresh or not; makes no request. For whoever cannot wait.
    pub fn remembered(&self, name: &str) -> Option<Rotation> {
        self.entry(name).known().map(|known| known.rotation)
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry(name.to_owned()).or_default())
    }

    /// A client for the Region that an ARN names, or for the configured one.
    fn client(&self, name: &str) -> Client {
        let region = name
            .strip_prefix("arn:")
            .and_then(|rest| rest.split(':').nth(2))
            .filter(|region| !region.is_empty())
            .map(str::to_owned);
        let mut clients = self
            .0
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let mut builder = within(&self.0.sdk, TIMEOUT).to_builder();
            if let Some(region) = region.clone() {
                builder = builder.region(Region::new(region));
            }
            Client::new(&builder.build())
        };
        clients.entry(region.clone()).or_insert_with(make).clone()
    }

    async fn read(&self, name: &str) -> Result<Known, SecretError> {
        let client = self.client(name);
        // At once: a function waits for this before it takes its first webhook.
        let stages = [CURRENT, PENDING, PREVIOUS].map(|label| stage(&client, name, label));
        let mut stages = join_all(stages).await.into_iter();
        let current = stages.next().expect("the current one is asked for first")?;
        let current = value(&current).ok_or(SecretError::Empty)?;
        let mut others = Vec::new();
        for other in stages {
            let other = match other {
                Ok(found) => value(&found),
                Err(error @ SecretError::Unavailable(_)) => return Err(error),
                // There is none, or this process may not see it: no reason to refuse the current one.
                Err(_) => None,
            };
            let is_new = |other: &Secret| *other != current && !others.contains(other);
            if let Some(other) = other.filter(is_new) {
                others.push(other);
            }
        }
        Ok(Known {
            rotation: Rotation { current, others },
            fresh_until: self.0.clock.now().after(self.0.ttl),
        })
    }
}

async fn stage(
    client: &Client,
    name: &str,
    label: &str,
) -> Result<GetSecretValueOutput, SecretError> {
    let asked = client
        .get_secret_value()
        .secret_id(name)
        .version_stage(label)
        .send();
    asked.await.map_err(|error| {
        let is_missing = error
            .as_service_error()
            .is_some_and(GetSecretValueError::is_resource_not_found_exception);
        if is_missing {
            SecretError::Missing
        } else {
            sort(&refused(&error))
        }
    })
}

fn sort(refused: &Refused) -> SecretError {
    let code = refused.code.as_str();
    match code {
        "AccessDeniedException" | "DecryptionFailure" => SecretError::Denied(code.to_owned()),
        // Marked for deletion, or never given a value.
        "InvalidRequestException" => SecretError::Missing,
        _ => SecretError::Unavailable(refused.to_string()),
    }
}

/// The bytes of a version; `None` for an empty one, as a rotation that has only begun leaves it.
fn value(found: &GetSecretValueOutput) -> Option<Secret> {
    let text = found.secret_string().map(str::as_bytes);
    let bytes = text.or_else(|| found.secret_binary().map(AsRef::as_ref))?;
    (!bytes.is_empty()).then(|| Secret::new(bytes))
}
