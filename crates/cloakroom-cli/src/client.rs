//! The operators' HTTP client.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// How long an answer may take, apart from streams.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long to try to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// The largest page the server is asked for.
const PAGE_MAX: usize = 500;

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which server to talk to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Remote {
    /// The server.
    #[arg(
        long,
        env = "CLOAKROOM_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        help_heading = "Server"
    )]
    pub(crate) url: String,
    /// The server's admin token.
    #[arg(
        long,
        env = "CLOAKROOM_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Server"
    )]
    pub(crate) token: Option<String>,
}

/// How much of a list to show.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Limit {
    /// Show at most so many.
    #[arg(long, default_value_t = 100, value_name = "N", conflicts_with = "all")]
    limit: usize,
    /// Show all of them.
    #[arg(long)]
    all: bool,
}

impl Limit {
    /// Everything.
    pub(crate) const fn all() -> Self {
        Self {
            limit: 0,
            all: true,
        }
    }
}

/// One part of a path, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A stream as the command line takes it, `{source}/{key}` with the key percent-encoded, as a path.
///
/// # Errors
/// When it is not of that form.
pub(crate) fn stream_path(stream: &str) -> Result<String, Failure> {
    let shape = || {
        Failure::new(Exit::Usage, format!("`{stream}` is not a stream"))
            .hint("write `source/key`, as `cloakroom streams list` shows it")
    };
    let id = cloakroom_core::id::StreamId::parse(stream).ok_or_else(shape)?;
    Ok(id.to_string())
}

/// An HTTP client that verifies servers as the system does.
///
/// # Errors
/// When there is no TLS on this machine.
pub(crate) fn http_client(timeout: Option<Duration>) -> Result<reqwest::Client, Failure> {
    // A second call finds one installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .redirect(reqwest::redirect::Policy::none());
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    builder.build().map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("cannot set up HTTP: {}", causes(&error)),
        )
    })
}

/// An error with what caused it, without repeating the address.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    let mut last = error.to_string();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}

/// Talks to one server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client for this server.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(remote: &Remote) -> Result<Self, Failure> {
        let base = remote.url.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            let message = format!("`{}` is not the address of a server", remote.url);
            return Err(Failure::new(Exit::Usage, message)
                .hint("write it as `http://127.0.0.1:8080`, with --url or in CLOAKROOM_URL"));
        }
        Ok(Self {
            http: http_client(None)?,
            base,
            token: remote.token.clone().filter(|token| !token.is_empty()),
        })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the server is not reached or refuses.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let response = self
            .send(Method::GET, path, query, None, Some(ANSWER_MAX), &[])
            .await?;
        read_json(response).await
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// When the server is not reached or refuses.
    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let response = self
            .send(Method::POST, path, &[], body, Some(ANSWER_MAX), &[])
            .await?;
        read_json(response).await
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// When the server is not reached or refuses.
    pub(crate) async fn watch(&self, path: &str, last: Option<&str>) -> Result<Response, Failure> {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.map(|id| ("last-event-id", id)));
        self.send(Method::GET, path, &[], None, None, &headers)
            .await
    }

    /// The items of a list, page by page.
    ///
    /// # Errors
    /// When the server is not reached or refuses.
    pub(crate) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Limit,
    ) -> Result<Listed, Failure> {
        let wanted = if limit.all { usize::MAX } else { limit.limit };
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = (wanted - items.len()).min(PAGE_MAX).to_string();
            let mut asked = query.to_vec();
            asked.push(("limit", &page));
            asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let mut answer = self.get(path, &asked).await?;
            if let Some(Value::Array(found)) = answer.get_mut("items").map(Value::take) {
                items.extend(found);
            }
            cursor = answer
                .get("next")
                .and_then(Value::as_str)
                .map(str::to_owned);
            if cursor.is_none() || items.len() >= wanted {
                break;
            }
        }
        items.truncate(wanted);
        Ok(Listed {
            items,
            more: cursor.is_some(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        timeout: Option<Duration>,
        headers: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let mut url = format!("{}{path}", self.base);
        if !query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(query)
                .finish();
            url = format!("{url}?{query}");
        }
        let mut request = self.http.request(method, url);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(response).await)
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let message = format!(
            "cannot reach the server at {}: {}",
            self.base,
            causes(error)
        );
        Failure::new(Exit::Unreachable, message).hint(
            "start it with `cloakroom serve`, or name another one with --url or CLOAKROOM_URL",
        )
    }

    async fn refused(&self, response: Response) -> Failure {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let said = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = match (said("title"), said("detail")) {
            (Some(title), Some(detail)) if title != detail => format!("{title}: {detail}"),
            (Some(text), _) | (None, Some(text)) => text,
            (None, None) => "no reason given".to_owned(),
        };
        let failure = Failure::new(
            Exit::Failure,
            format!("the server answered {}: {message}", status.as_u16()),
        );
        match (said("hint"), status) {
            (Some(hint), _) => failure.hint(hint),
            (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                failure.hint("give the server's admin token with --token or CLOAKROOM_ADMIN_TOKEN")
            }
            (None, StatusCode::NOT_FOUND) if problem.is_null() => {
                failure.hint(format!("is there a cloakroom server at {}?", self.base))
            }
            _ => failure,
        }
    }
}

/// Items of a list.
pub(crate) struct Listed {
    /// As the server gave them.
    pub(crate) items: Vec<Value>,
    /// Whether there are more.
    pub(crate) more: bool,
}

async fn read_json(response: Response) -> Result<Value, Failure> {
    let cannot = |what: String| Failure::new(Exit::Failure, what);
    let body = response.bytes().await.map_err(|error| {
        cannot(format!(
            "the server's answer was cut off: {}",
            causes(&error)
        ))
    })?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|_| {
        cannot("the server's answer is not JSON".to_owned()).hint("is this a cloakroom server?")
    })
}
