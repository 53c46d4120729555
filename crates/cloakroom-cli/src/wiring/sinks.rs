//! From configured sinks to working ones.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::SdkConfig;
use cloakroom_core::config::{self, Config, Subscription};
use cloakroom_core::id::SubscriptionName;
use cloakroom_core::text::Mistake;
use cloakroom_engine::catalog::BuildError;
use cloakroom_engine::ports::{Clock, Sink};
use cloakroom_http::configured;

use super::Resolve;
use cloakroom_local::{LineSink, LineSinkError as OpenError};

/// Makes the sinks of a configuration. Subscriptions that append to one file share its writer.
pub(super) struct Sinks<'a> {
    config: &'a Config,
    resolve: &'a Resolve<'a>,
    clock: Arc<dyn Clock>,
    files: HashMap<PathBuf, LineSink>,
    stdout: Option<LineSink>,
    /// Makes clients for the sinks that exist on AWS only.
    sdk: Option<&'a SdkConfig>,
}

impl<'a> Sinks<'a> {
    pub(super) fn new(
        config: &'a Config,
        resolve: &'a Resolve<'a>,
        clock: Arc<dyn Clock>,
        sdk: Option<&'a SdkConfig>,
    ) -> Self {
        Self {
            config,
            resolve,
            clock,
            files: HashMap::new(),
            stdout: None,
            sdk,
        }
    }

    /// The sink of a subscription.
    pub(super) fn make(
        &mut self,
        name: &SubscriptionName,
        subscription: &Subscription,
    ) -> Result<Arc<dyn Sink>, BuildError> {
        let path = format!("subscriptions.{name}.sink");
        match &subscription.sink {
            config::Sink::Http(http) => {
                let path = format!("{path}.http");
                let clock = Arc::clone(&self.clock);
                let sink = configured::http_sink(self.config, http, &path, self.resolve, clock)?;
                Ok(Arc::new(sink))
            }
            config::Sink::File(file) => {
                let wrong = |error: OpenError| BuildError::Sink {
                    path: format!("{path}.file.path"),
                    mistake: Mistake::new(
                        error.to_string(),
                        "name a file that this process may write",
                    ),
                };
                let place = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
                let sink = match self.files.get(&place) {
                    Some(sink) => sink.clone(),
                    None => LineSink::file(&place).map_err(wrong)?,
                };
                self.files.insert(place, sink.clone());
                Ok(Arc::new(sink))
            }
            config::Sink::Stdout(_) => {
                let wrong = |error: OpenError| BuildError::Sink {
                    path: format!("{path}.stdout"),
                    mistake: Mistake::new(error.to_string(), "use another sink"),
                };
                let sink = match &self.stdout {
                    Some(sink) => sink.clone(),
                    None => LineSink::stdout().map_err(wrong)?,
                };
                self.stdout = Some(sink.clone());
                Ok(Arc::new(sink))
            }
            other => {
                if let Some(sdk) = self.sdk {
                    let made = cloakroom_aws::sinks::sink(sdk, other);
                    let wrong = |mistake| BuildError::Sink {
                        path: path.clone(),
                        mistake,
                    };
                    if let Some(sink) = made.map_err(wrong)? {
                        return Ok(sink);
                    }
                }
                let unknown =
                    || Mistake::new("this sink is not sent to", "use `http`, `file` or `stdout`");
                let mistake = other.requires_aws().unwrap_or_else(unknown);
                Err(BuildError::Sink { path, mistake })
            }
        }
    }
}
