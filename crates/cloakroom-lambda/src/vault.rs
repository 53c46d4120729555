//! The secrets of a configuration, read again while the host runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use cloakroom_aws::Secrets;
use cloakroom_aws::secrets::{SecretError, TTL};
use cloakroom_core::config::Config;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::catalog::Catalog;
use cloakroom_engine::ports::Clock;
use cloakroom_http::configured;

/// What references of a configuration lead to: environment, files and Secrets Manager. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    secrets: Secrets,
    config: Config,
    wanted: Vec<SecretRef>,
    clock: Arc<dyn Clock>,
    read: Mutex<Read>,
}

/// The outcome of the last reading.
#[derive(Default)]
struct Read {
    failed: BTreeMap<SecretRef, SecretError>,
    again_at: Timestamp,
}

impl Vault {
    /// Reads these of the secrets that `config` refers to, and no others. What cannot be read is told when it is asked for.
    pub async fn open(
        sdk: &SdkConfig,
        config: &Config,
        wanted: Vec<SecretRef>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let vault = Self(Arc::new(Inner {
            secrets: Secrets::new(sdk, Arc::clone(&clock)),
            config: config.clone(),
            wanted,
            clock,
            read: Mutex::default(),
        }));
        vault.read().await;
        vault
    }

    /// The secret that a reference leads to.
    ///
    /// # Errors
    /// Says why there is none, as a lower-case fragment.
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret, String> {
        let all = self.resolve_all(reference)?;
        all.into_iter()
            .next()
            .ok_or_else(|| "it is empty".to_owned())
    }

    /// Every few minutes reads the secrets again, and lets the sources of `catalog` verify with what is there now: the
    /// current secrets, and those that stand in for them while they are rotated. A secret that cannot be read stays as it was.
    pub async fn refresh(&self, catalog: &Catalog) {
        let now = self.0.clock.now();
        let is_due = now
            >= self
                .0
                .read
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .again_at;
        if !is_due {
            return;
        }
        self.read().await;
        self.rotate(catalog);
    }

    /// Lets the sources of `catalog` verify with what was read last.
    pub fn rotate(&self, catalog: &Catalog) {
        let resolve = |reference: &SecretRef| self.resolve_all(reference);
        for error in catalog
            .rotate(&self.0.config, &resolve)
            .err()
            .into_iter()
            .flatten()
        {
            tracing::warn!(%error, "a source goes on with the secrets it has");
        }
    }

    async fn read(&self) {
        let failed = self.0.secrets.load(&self.0.wanted).await;
        let again_at = self.0.clock.now().after(TTL);
        *self.0.read.lock().unwrap_or_else(PoisonError::into_inner) = Read { failed, again_at };
    }

    fn resolve_all(&self, reference: &SecretRef) -> Result<Vec<Secret>, String> {
        let SecretRef::AwsSecret(name) = reference else {
            let secret = configured::secret(reference, |_| Err("it is in AWS".to_owned()));
            return secret.map(|secret| vec![secret]);
        };
        let read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.0.secrets.remembered(name), read.failed.get(reference)) {
            (Some(rotation), _) => Ok(rotation.all().cloned().collect()),
            (None, Some(error)) => Err(error.to_string()),
            (None, None) => Err("it was not asked for".to_owned()),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}
