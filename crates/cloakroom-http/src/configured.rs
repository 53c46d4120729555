//! From a configuration to the parts of this crate: what every host that serves or delivers needs.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use cloakroom_core::config::{self, Config, HeaderText, HttpMode, Store};
use cloakroom_core::secret::{Secret, SecretRef};
use cloakroom_core::text::Mistake;
use cloakroom_engine::Settings;
use cloakroom_engine::catalog::{BuildError, Resolve};
use cloakroom_engine::intake::Budget;
use cloakroom_engine::ports::Clock;

use crate::app::{App, Options};
use crate::sink::{HttpSink, HttpSinkError, HttpSinkOptions, Mode, Rate};

/// The most events in a batched request.
const BATCH_EVENTS: usize = 100;

/// The `http` sink that is configured at `path` (`subscriptions.billing.sink.http`).
///
/// # Errors
/// When a secret cannot be read, or the options make no sink.
pub fn http_sink(
    config: &Config,
    http: &config::HttpSink,
    path: &str,
    resolve: &Resolve<'_>,
    clock: Arc<dyn Clock>,
) -> Result<HttpSink, BuildError> {
    let options = http_options(config, http, path, resolve)?;
    HttpSink::new(&options, clock).map_err(|error| http_mistake(path, &error))
}

fn http_options(
    config: &Config,
    http: &config::HttpSink,
    path: &str,
    resolve: &Resolve<'_>,
) -> Result<HttpSinkOptions, BuildError> {
    let secret = http.secret.as_ref();
    let secret =
        secret.map(|reference| BuildError::resolve(resolve, format!("{path}.secret"), reference));
    let mut headers = Vec::new();
    for (name, value) in &http.headers {
        let value = match value {
            HeaderText::Plain(text) => text.clone(),
            HeaderText::Secret(reference) => {
                let path = format!("{path}.headers.{name}");
                let secret = BuildError::resolve(resolve, path, reference)?;
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
                inline_max: config.claims.inline_max.get(),
            },
        },
        timeout: http.timeout.get(),
        rate: http.rate.map(|rate| Rate {
            count: NonZeroU32::new(rate.count()).expect("a rate is at least one"),
            per: rate.per(),
        }),
        headers,
        allow_private: config.server.allow_private_sinks,
    })
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

/// What the engine is told besides its catalog.
pub fn settings(config: &Config) -> Settings {
    Settings {
        inline_max: config.claims.inline_max.get(),
        ledger_only_max: match config.claims.store() {
            Store::Always => 0,
            Store::Above(bytes) => bytes,
        },
        retention: config.claims.retention.get(),
    }
}

/// How much may be under way at once.
pub fn budget(config: &Config) -> Budget {
    let in_flight = config.server.max_in_flight;
    let requests = usize::try_from(in_flight.requests).unwrap_or(usize::MAX);
    Budget::new(requests, in_flight.bytes.get())
}

/// What the server is told, without the admin token.
pub fn options(config: &Config, public_url: String) -> Options {
    let server = &config.server;
    Options {
        public_url,
        admin_token: None,
        header_timeout: server.header_timeout.get(),
        read_timeout: server.read_timeout.get(),
        body_timeout: server.body_timeout.get(),
        max_connections: usize::try_from(server.max_connections).unwrap_or(usize::MAX),
        drain_timeout: server.drain_timeout.get(),
    }
}

/// Gives the sources that have timeouts of their own theirs.
#[must_use]
pub fn with_source_timeouts(mut app: App, config: &Config) -> App {
    let server = &config.server;
    for (name, source) in &config.sources {
        if source.read_timeout.is_some() || source.body_timeout.is_some() {
            let read = source.read_timeout.unwrap_or(server.read_timeout).get();
            let body = source.body_timeout.unwrap_or(server.body_timeout).get();
            app = app.with_source_timeouts(name.as_str(), read, body);
        }
    }
    app
}

/// The token that the API asks for, if one is configured.
///
/// # Errors
/// When it cannot be read.
pub fn admin_token(config: &Config, resolve: &Resolve<'_>) -> Result<Option<Secret>, BuildError> {
    let token = config.server.admin_token.as_ref();
    let token =
        token.map(|reference| BuildError::resolve(resolve, "server.admin_token", reference));
    token.transpose()
}

/// Reads a secret from the environment or a file; `otherwise` from elsewhere.
///
/// # Errors
/// Says why it cannot be read, as a lower-case fragment.
pub fn secret(
    reference: &SecretRef,
    otherwise: impl FnOnce(&str) -> Result<Secret, String>,
) -> Result<Secret, String> {
    let bytes = match reference {
        SecretRef::Env(name) => match std::env::var_os(name) {
            Some(value) => value.into_encoded_bytes(),
            None => return Err("it is not set".to_owned()),
        },
        SecretRef::File(path) => {
            let mut bytes = std::fs::read(path).map_err(|error| plain(&error))?;
            // Editors end files with a line break, which is no part of the secret.
            while bytes
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                bytes.pop();
            }
            bytes
        }
        SecretRef::AwsSecret(name) => return otherwise(name),
    };
    if bytes.is_empty() {
        Err("it is empty".to_owned())
    } else {
        Ok(Secret::new(bytes))
    }
}

/// An error of the operating system as the middle of a sentence, without its number.
pub fn plain(error: &io::Error) -> String {
    middle(&error.to_string())
}

/// The text of an error without the number that the operating system gives it, beginning in lower case.
pub fn middle(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or(text);
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
