//! Who may use the API.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cloakroom_core::secret::{Secret, SecretHash};
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderValue, Method};

use crate::app::App;
use crate::problem::{Kind, Problem};

/// What browsers say about the page that makes a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The admin token, of which only the hash is kept.
pub(crate) struct Token(SecretHash);

impl Token {
    /// Whitespace around a token is not part of it: a file usually ends with a newline.
    pub(crate) fn new(token: &Secret) -> Self {
        Self(SecretHash::of(token.expose().trim_ascii()))
    }

    fn matches(&self, offered: &[u8]) -> bool {
        self.0.is_of(offered).into()
    }
}

/// The middleware in front of the API.
pub(crate) async fn guard(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check(&app, &request)?;
    Ok(next.run(request).await)
}

/// Whether this request may be carried out.
pub(crate) fn check(app: &App, request: &Request) -> Result<(), Problem> {
    if let Some(token) = app.token() {
        let Some(offered) = bearer(request) else {
            let text = "the request has no bearer token";
            return Err(Problem::new(Kind::Unauthorized, text));
        };
        if !token.matches(offered) {
            let text = "the bearer token is not the right one";
            return Err(Problem::new(Kind::Unauthorized, text));
        }
        return Ok(());
    }
    // Without a token the server trusts whoever reaches it, which must not be any web page in a browser on this machine.
    check_host(app, request)?;
    let site = request.headers().get(SEC_FETCH_SITE);
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && request.method() != Method::GET {
        return Err(Problem::new(
            Kind::CrossSite,
            "the request comes from another site's page",
        ));
    }
    Ok(())
}

/// Whether the request names this server as nobody else could be named. A page of another site may have its own name lead
/// to this machine (DNS rebinding), and counts as the server's own page from then on; but it cannot change what the browser
/// sends as `Host`. An address, `localhost` and the public URL's host are no names that others can give out.
pub(crate) fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    if app.token().is_some() {
        return Ok(());
    }
    let header = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let uri = request.uri().authority();
    let named = [header, uri.map(|authority| authority.as_str().as_bytes())];
    if named
        .into_iter()
        .flatten()
        .all(|name| is_ours(app.public_url(), name))
    {
        return Ok(());
    }
    Err(Problem::new(
        Kind::ForeignHost,
        "the request's `Host` is neither an address nor a name of this server",
    ))
}

/// Whether a host and port are an address, `localhost`, or the host of the public URL.
fn is_ours(public_url: &str, named: &[u8]) -> bool {
    let Ok(Some(named)) = std::str::from_utf8(named).map(host) else {
        return false;
    };
    let public = public_url.split_once("://").and_then(|(_, rest)| {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        host(&rest[..end])
    });
    let address = named.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || named.eq_ignore_ascii_case("localhost")
        || public.is_some_and(|public| named.eq_ignore_ascii_case(public))
}

/// The host of `host:port`, the brackets of an IPv6 address included. `None` when it is neither with nor without a port.
fn host(authority: &str) -> Option<&str> {
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port = port.strip_prefix(':').unwrap_or(port);
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(host)
}

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}
