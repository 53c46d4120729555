//! Secrets that change while webhooks come in.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use cloakroom_core::config::Config;
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{Rejection, RequestHead, Verification, Verifier};

use super::Catalog;
use super::build::{BuildError, verifier};

/// What a reference leads to now: the current secret first, then those that stand in for it while it is rotated.
/// The error says why there is none, as a lower-case fragment.
pub type ResolveAll<'a> = dyn Fn(&SecretRef) -> Result<Vec<Secret>, String> + 'a;

/// The verifier of a source, which another one may replace. Webhooks that are on their way in keep the one that they
/// began with.
pub struct Rotating(RwLock<Option<Arc<Verifier>>>);

impl Rotating {
    /// Begins to verify a webhook; see [`Verifier::begin`].
    ///
    /// # Errors
    /// When its headers tell already that it cannot be genuine.
    pub fn begin(&self, head: &RequestHead<'_>, now: Timestamp) -> Result<Verification, Rejection> {
        let verifier = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let verifier = verifier.clone().ok_or(Rejection::SignatureMismatch)?;
        verifier.begin(head, now)
    }

    /// Of a source whose secrets nobody has read: nothing is genuine.
    pub(super) fn closed() -> Self {
        Self(RwLock::new(None))
    }

    fn replace(&self, verifier: Verifier) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(verifier));
    }
}

impl From<Verifier> for Rotating {
    fn from(verifier: Verifier) -> Self {
        Self(RwLock::new(Some(Arc::new(verifier))))
    }
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rotating(…)")
    }
}

impl Catalog {
    /// Lets every source check signatures with the secrets that its references lead to now. `config` is the configuration
    /// that this catalog was built from.
    ///
    /// A source whose secrets cannot be read, or are not what its scheme takes, goes on with those it has; the errors say
    /// why. Where only a secret's stand-ins are no good, it takes the current ones alone.
    ///
    /// # Errors
    /// One for each secret that could not be taken. Every other source has its new ones all the same.
    pub fn rotate(&self, config: &Config, resolve: &ResolveAll<'_>) -> Result<(), Vec<BuildError>> {
        let current = |reference: &SecretRef| {
            let found = resolve(reference)?.into_iter().next();
            found
                .map(|secret| vec![secret])
                .ok_or_else(|| "it is empty".to_owned())
        };
        let mut errors = Vec::new();
        for (name, configured) in &config.sources {
            let Some(source) = self.sources.get(name) else {
                continue;
            };
            match verifier(name, configured, resolve)
                .or_else(|_| verifier(name, configured, &current))
            {
                Ok(verifier) => source.verifier.replace(verifier),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}
