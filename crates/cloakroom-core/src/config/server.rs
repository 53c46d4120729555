//! `server`: where Cloakroom listens and what it takes on.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::url::HttpUrl;
use crate::secret::SecretRef;
use crate::text::{Mistake, TextSchema, echo, text_value};
use crate::units::{Bytes, DurationText};

/// Where Cloakroom listens and what it takes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The address and port to listen on. `--listen` overrides it.
    pub listen: ListenAddr,
    /// The directory that holds everything the embedded form stores. `--data-dir` overrides it.
    pub data_dir: PathBuf,
    /// Whether events may be sent to private, loopback and link-local addresses.
    pub allow_private_sinks: bool,
    /// The address under which providers and consumers reach the server: claim URLs begin with it, and schemes that
    /// sign the URL use it. Default: `http://` and the address of `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"https://hooks.example")]
    pub public_url: Option<HttpUrl>,
    /// Where the token that `/v1/*` asks for is found. Must be set unless the server listens on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"env:CLOAKROOM_ADMIN_TOKEN")]
    pub admin_token: Option<SecretRef>,
    /// How much is taken on at a time; beyond it providers are answered 429 and come again.
    pub max_in_flight: InFlight,
    /// How many connections may be open at a time, idle ones included; whoever comes on top of them is answered 503 and cut
    /// off.
    #[schemars(range(min = 1))]
    pub max_connections: u32,
    /// How long requests and deliveries under way may take to finish when the server is told to stop.
    pub drain_timeout: DurationText,
    /// How long a request's headers may take.
    pub header_timeout: DurationText,
    /// How long a body may stay silent before the request is given up. A source may set its own.
    pub read_timeout: DurationText,
    /// How long a whole body may take. A source may set its own.
    pub body_timeout: DurationText,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: ListenAddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            data_dir: PathBuf::from("./cloakroom-data"),
            allow_private_sinks: false,
            public_url: None,
            admin_token: None,
            max_in_flight: InFlight::default(),
            max_connections: 4_096,
            drain_timeout: DurationText::from_secs(30),
            header_timeout: DurationText::from_secs(10),
            read_timeout: DurationText::from_secs(30),
            body_timeout: DurationText::from_secs(3_600),
        }
    }
}

impl Server {
    /// The address under which the server is reached, without a slash at its end.
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen.reachable()),
        }
    }
}

/// How much is taken on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InFlight {
    /// Webhooks being received.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// Bytes of payload held in memory.
    pub bytes: Bytes,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            requests: 1_024,
            bytes: Bytes::mib(64),
        }
    }
}

/// An IP address and a port. `localhost` reads as 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr(SocketAddr);

impl ListenAddr {
    /// The address and port.
    pub fn get(self) -> SocketAddr {
        self.0
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }

    /// The same with the loopback address in place of `0.0.0.0` and `[::]`.
    fn reachable(self) -> SocketAddr {
        let port = self.0.port();
        match self.0 {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, port).into(),
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, port).into(),
            other => other,
        }
    }
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl FromStr for ListenAddr {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        const HINT: &str = "write an IP address and a port, e.g. `127.0.0.1:8080`, or `0.0.0.0:8080` for every network";
        let resolved = text
            .strip_prefix("localhost:")
            .map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
        let mistake = || {
            let port = text.strip_prefix(':').unwrap_or(text);
            let hint = match port.parse::<u16>() {
                Ok(_) => format!(
                    "did you mean `127.0.0.1:{port}` (this machine only) or `0.0.0.0:{port}` (every network)?"
                ),
                Err(_) => HINT.to_owned(),
            };
            Mistake::new(
                format!("{} is not an address to listen on", echo(text)),
                hint,
            )
        };
        resolved
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map(Self)
            .map_err(|_| mistake())
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

text_value!(
    ListenAddr,
    TextSchema {
        format: "cloakroom-listen",
        pattern: "^\\S+:[0-9]{1,5}$",
        examples: &["127.0.0.1:8080", "0.0.0.0:8080", "[::1]:8080"]
    }
);
