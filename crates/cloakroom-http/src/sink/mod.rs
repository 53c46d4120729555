//! The `http` sink: each event a signed POST.
//!
//! Every request carries `webhook-id`, `webhook-timestamp`, and with a secret `webhook-signature`, as Standard Webhooks
//! says. The signature covers the body: in binary mode that is the payload alone, not the attributes in the headers.
//!
//! The outcome is decided by the status: 2xx settles, 410 ends the subscription, 429 and 503 may ask for a wait, and
//! everything else, redirects included, failed. Response bodies are not looked at.

mod answer;
mod guard;
mod message;
mod rate;
mod signature;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::secret::Secret;
use cloakroom_engine::ports::{Clock, Outcome, Outgoing, Sink};
use reqwest::{Client, Method, Request, Url};

use guard::Guard;
use message::Message;
pub use rate::Rate;
use rate::Throttle;
use signature::Signer;

/// How long an unused connection is kept. Shorter than the five seconds after which common servers close theirs, so
/// that a request rarely meets a connection that is just being closed.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// The most bytes of a batch.
const BATCH_MAX_BYTES: u64 = 4 << 20;

/// What an event adds to a batch apart from its payload: two keys and a `dataref` of the greatest length, and the rest.
const EVENT_MAX_OVERHEAD: u64 = 8 << 10;

/// How events travel in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The whole event as JSON in the body.
    Structured,
    /// The payload as the body, the attributes as `ce-` headers.
    Binary,
    /// Several events of one stream as a JSON array in the body.
    Batched {
        /// The most events in a request. Fewer fit when `inline_max` is large: a body stays below 4 MiB, unless one
        /// event alone is larger.
        events: usize,
        /// The largest payload that travels inside an event, in bytes.
        inline_max: u64,
    },
}

/// What an [`HttpSink`] is made from.
pub struct HttpSinkOptions {
    /// Where to send: `http` or `https`. A user and password in it become an `Authorization` header.
    pub url: String,
    /// What signs the requests: `whsec_…`, or any other bytes as they are. Without it requests are not signed.
    pub secret: Option<Secret>,
    /// How events travel.
    pub mode: Mode,
    /// How long a request may take, from connecting to the last header of the answer.
    pub timeout: Duration,
    /// The most requests in a time.
    pub rate: Option<Rate>,
    /// Further headers of every request. Values may be secret and are never shown.
    pub headers: Vec<(String, String)>,
    /// Whether addresses outside the public internet may be reached.
    pub allow_private: bool,
}

/// Why options make no sink.
#[derive(Debug, thiserror::Error)]
pub enum HttpSinkError {
    /// The URL is none, or not one to send to.
    #[error("use the URL: {0}; give an absolute `http` or `https` URL")]
    Url(String),
    /// The URL names an address that is refused.
    #[error(
        "send to the address {0}, which is not on the public internet; set `allow_private_sinks: true` if this is meant"
    )]
    PrivateAddress(std::net::IpAddr),
    /// The secret says what it is, and is not that.
    #[error("use the secret: {0}")]
    Secret(&'static str),
    /// A header that cannot be sent.
    #[error("add the header `{name}`: {problem}")]
    Header {
        /// Its name.
        name: String,
        /// Why it cannot be sent. Does not show its value.
        problem: &'static str,
    },
    /// TLS cannot be set up.
    #[error("set up TLS; are the system's root certificates installed?")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Sends events by HTTP. One client with its connections serves all streams of the subscription.
pub struct HttpSink {
    client: Client,
    url: Url,
    headers: http::HeaderMap,
    signer: Option<Signer>,
    mode: Mode,
    timeout: Duration,
    throttle: Option<Throttle>,
    clock: Arc<dyn Clock>,
}

impl HttpSink {
    /// Checks the options and prepares everything that requests share. Sends nothing.
    ///
    /// # Errors
    /// When a request could never be sent with these options.
    pub fn new(options: &HttpSinkOptions, clock: Arc<dyn Clock>) -> Result<Self, HttpSinkError> {
        let mut url = Url::parse(&options.url).map_err(|e| HttpSinkError::Url(e.to_string()))?;
        let mut headers = message::extra_headers(&options.headers)?;
        message::move_credentials(&mut url, &mut headers)?;
        let tls = match url.scheme() {
            "https" => tls::verified()?,
            "http" => tls::unused()?,
            other => return Err(HttpSinkError::Url(format!("`{other}` is no HTTP"))),
        };
        let mut client = Client::builder()
            .user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(options.timeout)
            .pool_idle_timeout(IDLE_MAX)
            .tls_backend_preconfigured(tls);
        if !options.allow_private {
            guard::check_literal(&url)?;
            client = client.dns_resolver(Guard::system());
        }
        let signer = options.secret.as_ref().map(Signer::new).transpose()?;
        let throttle = options
            .rate
            .map(|rate| Throttle::new(rate, Arc::clone(&clock)));
        Ok(Self {
            client: client.build().map_err(HttpSinkError::Client)?,
            url,
            headers,
            signer,
            mode: options.mode,
            timeout: options.timeout,
            throttle,
            clock,
        })
    }

    fn request(&self, events: &[Outgoing]) -> Request {
        let mut message = Message::of(self.mode, events, self.headers.clone());
        let seconds = self.clock.now().as_secs();
        message.sign(self.signer.as_ref(), seconds);
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = message.headers;
        *request.body_mut() = Some(message.body.into());
        request
    }
}

#[async_trait]
impl Sink for HttpSink {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        if let Some(throttle) = &self.throttle
            && let Err(wait) = throttle.admit().await
        {
            return Outcome::Deferred { wait };
        }
        match self.client.execute(self.request(events)).await {
            Ok(response) => {
                let outcome =
                    answer::outcome(response.status(), response.headers(), self.clock.now());
                answer::drain(response).await;
                outcome
            }
            Err(error) => answer::failure(error, self.timeout),
        }
    }

    fn batch_max(&self) -> usize {
        match self.mode {
            Mode::Structured | Mode::Binary => 1,
            Mode::Batched { events, inline_max } => {
                let largest = inline_max.saturating_mul(4) / 3 + EVENT_MAX_OVERHEAD;
                let fit = usize::try_from(BATCH_MAX_BYTES / largest).unwrap_or(usize::MAX);
                events.min(fit).max(1)
            }
        }
    }

    fn kind(&self) -> &'static str {
        "http"
    }

    fn timeout(&self) -> Duration {
        let waiting = self
            .throttle
            .as_ref()
            .map_or(Duration::ZERO, |_| rate::PATIENCE);
        self.timeout + answer::DRAIN_MAX + waiting
    }
}

#[cfg(test)]
mod tests;
