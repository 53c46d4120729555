//! From configured sinks to working ones.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use cloakroom_core::config::{self, Config, HeaderText, HttpMode, Subscription};
use cloakroom_core::id::SubscriptionName;
use cloakroom_core::text::Mistake;
use cloakroom_engine::catalog::BuildError;
use cloakroom_engine::ports::{Clock, Sink};
use cloakroom_http::sink::{HttpSink, HttpSinkError, HttpSinkOptions, Mode, Rate};

use super::Resolve;
use cloakroom_local::{LineSink, LineSinkError as OpenError};

/// The most events in a batched request.
const BATCH_EVENTS: usize = 100;

/// Makes the sinks of a configuration. Subscriptions that append to one file share its writer.
pub(super) struct Sinks<'a> {
    config: &'a Config,
    resolve: &'a Resolve<'a>,
    clock: Arc<dyn Clock>,
    files: HashMap<PathBuf, LineSink>,
    stdout: Option<LineSink>,
}

impl<'a> Sinks<'a> {
    pub(super) fn new(config: &'a Config, resolve: &'a Resolve<'a>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            resolve,
            clock,
            files: HashMap::new(),
            stdout: None,
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
                let options = self.http_options(http, &path)?;
                let sink = HttpSink::new(&options, Arc::clone(&self.clock))
                    .map_err(|error| http_mistake(&path, &error))?;
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
                let unknown =
                    || Mistake::new("this sink is not sent to", "use `http`, `file` or `stdout`");
                let mistake = other.requires_aws().unwrap_or_else(unknown);
                Err(BuildError::Sink { path, mistake })
            }
        }
    }

    fn http_options(
        &self,
        http: &config::HttpSink,
        path: &str,
    ) -> Result<HttpSinkOptions, BuildError> {
        let secret = http.secret.as_ref();
        let secret = secret.map(|reference| {
            BuildError::resolve(self.resolve, format!("{path}.secret"), reference)
        });
        let mut headers = Vec::new();
        for (name, value) in &http.headers {
            let value = match value {
                HeaderText::Plain(text) => text.clone(),
                HeaderText::Secret(reference) => {
                    let secret = BuildError::resolve(
                        self.resolve,
                        format!("{path}.headers.{name}"),
                        reference,
                    )?;
                    String::from_utf8_lossy(secret.expose()).into_owned()
                }
            };
            headers.push((name.clone(), value));
        }
        Ok(HttpSinkOptions {
            url: http.url.to_string(),
            secret: secret.transpose()?,
            mode: match http.mode {
                HttpMode::Structured => Mode::Structured,
                HttpMode::Binary => Mode::Binary,
                HttpMode::Batched => Mode::Batched {
                    events: BATCH_EVENTS,
                    inline_max: self.config.claims.inline_max.get(),
                },
            },
            timeout: http.timeout.get(),
            rate: http.rate.map(|rate| Rate {
                count: NonZeroU32::new(rate.count()).expect("a rate is at least one"),
                per: rate.per(),
            }),
            headers,
            allow_private: self.config.server.allow_private_sinks,
        })
    }
}

fn http_mistake(path: &str, error: &HttpSinkError) -> BuildError {
    let (key, hint) = match error {
        HttpSinkError::Url(_) => ("url", "give an absolute `http` or `https` URL"),
        HttpSinkError::PrivateAddress(_) => (
            "url",
            "set `server.allow_private_sinks: true` if this is meant",
        ),
        HttpSinkError::Secret(_) => ("secret", "write it as `whsec_` and base64"),
        HttpSinkError::Header { .. } => ("headers", "leave the header out, or write it otherwise"),
        HttpSinkError::Tls(_) | HttpSinkError::Client(_) => {
            ("url", "install the system's root certificates")
        }
    };
    let text = error.to_string();
    let message = text.split("; ").next().unwrap_or_default();
    BuildError::Sink {
        path: format!("{path}.{key}"),
        mistake: Mistake::new(format!("cannot {message}"), hint),
    }
}
