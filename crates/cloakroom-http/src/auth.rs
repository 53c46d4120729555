//! Who may use the API.

use std::fmt;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cloakroom_core::secret::Secret;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::App;
use crate::problem::{Kind, Problem};

/// What browsers say about the page that makes a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The admin token. Only its hash is kept: comparing hashes shows not even the token's length in the time it takes.
pub(crate) struct Token([u8; 32]);

impl Token {
    /// Whitespace around a token is not part of it: a file usually ends with a newline.
    pub(crate) fn new(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose().trim_ascii()).into())
    }

    fn matches(&self, offered: &[u8]) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        self.0.ct_eq(&offered).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
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

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}
