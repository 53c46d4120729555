//! What the ingest path calls: a verifier per source, a verification per request.

use std::borrow::Cow;
use std::fmt;

use subtle::Choice;

use super::error::SchemeError;
use super::keyed::{Keyed, KeyedCheck, text};
use super::preset::Method;
use super::recipe::Recipe;
use super::scheme::Scheme;
use super::secret;
use super::twilio::{Twilio, TwilioCheck};
use crate::secret::{Secret, SecretHash};
use crate::time::Timestamp;

/// The longest form whose fields can be sorted to verify it: 1 MiB. Twilio's own are a few kilobytes.
pub const FORM_MAX_BYTES: usize = 1 << 20;

/// The request as received, its body apart.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    /// `POST`, in most cases.
    pub method: &'a str,
    /// The URL the provider was given: the server's `public_url`, then path and query as received.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
}

/// The headers of a request, wherever they live.
pub trait Headers {
    /// The first value of the header `name`, which is lower-case. Names in the request count in any case.
    fn get(&self, name: &str) -> Option<&[u8]>;
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn get(&self, name: &str) -> Option<&[u8]> {
        first(self, name)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        first(self, name)
    }
}

fn first<'a, N, V>(headers: &'a [(N, V)], name: &str) -> Option<&'a [u8]>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    let mut named = headers.iter();
    let found = named.find(|(key, _)| key.as_ref().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_ref())
}

/// Checks the requests of one source. Built once, shared by all of them.
pub struct Verifier(Kind);

enum Kind {
    Open,
    Keyed(Keyed),
    Token {
        header: Cow<'static, str>,
        tokens: Vec<SecretHash>,
        signed: Option<Keyed>,
    },
    Twilio(Twilio),
}

impl Verifier {
    /// Prepares the keys. Any of the `secrets` may have signed a request, so that they can be rotated. They are what
    /// the references in the scheme led to; the references themselves are not looked at.
    ///
    /// # Errors
    /// When the scheme contradicts itself, or a secret is missing or not written as the scheme writes them.
    pub fn new(scheme: &Scheme, secrets: &[Secret]) -> Result<Self, SchemeError> {
        scheme.validate()?;
        scheme.expects_secrets(secrets.len())?;
        if let Some(index) = secrets
            .iter()
            .position(|secret| secret.expose().trim_ascii().is_empty())
        {
            return Err(SchemeError::EmptySecret(index));
        }
        let kind = match &scheme.scheme.preset().method {
            Method::Open => Kind::Open,
            Method::Hmac(recipe) => Kind::Keyed(Keyed::new(recipe, scheme.tolerance, secrets)?),
            Method::Configured => {
                Kind::Keyed(Keyed::new(&Recipe::from_scheme(scheme)?, None, secrets)?)
            }
            Method::Token { header, signed } => token(header, signed, scheme, secrets)?,
            Method::Twilio => Kind::Twilio(Twilio::new(secrets)),
        };
        Ok(Self(kind))
    }

    /// Checks all that the head tells, and prepares to check the body.
    ///
    /// # Errors
    /// When a header is missing, malformed, stale or from the future, or holds a wrong token.
    pub fn begin(&self, head: &RequestHead<'_>, now: Timestamp) -> Result<Verification, Rejection> {
        let state = match &self.0 {
            Kind::Open => State::Done,
            Kind::Keyed(keyed) => State::Keyed(keyed.begin(head, now)?),
            Kind::Twilio(twilio) => State::Twilio(Box::new(twilio.begin(head)?)),
            Kind::Token {
                header,
                tokens,
                signed,
            } => match signed {
                Some(keyed) if tokens.is_empty() || keyed.is_signed(head) => {
                    State::Keyed(keyed.begin(head, now)?)
                }
                _ => {
                    check_token(text(head, header)?, tokens)?;
                    State::Done
                }
            },
        };
        Ok(Verification(state))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// A `whsec_…` secret is a signing token and never compared as a plain one: what signs must not also travel.
fn token(
    header: &'static str,
    signed: &Recipe,
    scheme: &Scheme,
    secrets: &[Secret],
) -> Result<Kind, SchemeError> {
    let (signing, tokens): (Vec<_>, Vec<_>) = secrets.iter().cloned().partition(secret::is_whsec);
    let signed = if signing.is_empty() {
        None
    } else {
        let keyed = Keyed::new(signed, scheme.tolerance, &signing);
        Some(keyed.map_err(|error| error.renumbered(|index| nth_whsec(secrets, index)))?)
    };
    let tokens = tokens
        .iter()
        .map(|token| SecretHash::of(token.expose()))
        .collect();
    Ok(Kind::Token {
        header: Cow::Borrowed(header),
        tokens,
        signed,
    })
}

/// Where the signing token number `index` stands among all secrets.
fn nth_whsec(secrets: &[Secret], index: usize) -> usize {
    let mut signing = secrets
        .iter()
        .enumerate()
        .filter(|(_, secret)| secret::is_whsec(secret));
    signing.nth(index).map_or(index, |(place, _)| place)
}

/// Compares with every token, whatever the first ones say.
fn check_token(received: &str, tokens: &[SecretHash]) -> Result<(), Rejection> {
    let matched = tokens.iter().fold(Choice::from(0), |matched, token| {
        matched | token.is_of(received.as_bytes())
    });
    if bool::from(matched) {
        Ok(())
    } else {
        Err(Rejection::SignatureMismatch)
    }
}

/// The check of one request. Holds no more than a few hundred bytes, whatever the size of the body, except for a
/// Twilio form, of which it holds up to [`FORM_MAX_BYTES`].
#[must_use = "a request is verified only when `finish` says so"]
pub struct Verification(State);

enum State {
    /// Nothing depends on the body.
    Done,
    Keyed(KeyedCheck),
    Twilio(Box<TwilioCheck>),
}

impl Verification {
    /// Takes the next bytes of the body, exactly as received.
    pub fn update(&mut self, chunk: &[u8]) {
        match &mut self.0 {
            State::Done => {}
            State::Keyed(check) => check.update(chunk),
            State::Twilio(check) => check.update(chunk),
        }
    }

    /// Says whether the whole request is what the provider signed.
    ///
    /// # Errors
    /// When it is not.
    pub fn finish(self) -> Result<(), Rejection> {
        match self.0 {
            State::Done => Ok(()),
            State::Keyed(check) => check.finish(),
            State::Twilio(check) => check.finish(),
        }
    }
}

#[cfg(test)]
impl Verification {
    /// What is on the heap, for the test that nothing of the body gathers there.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.0 {
            State::Done => 0,
            State::Keyed(check) => check.held_bytes(),
            State::Twilio(check) => check.held_bytes(),
        }
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verification(…)")
    }
}

/// Why a request is refused. The text is for the sender: it says what to mend, and nothing about secrets or about the
/// signature that would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header is missing or empty.
    #[error("the header `{header}` is missing; is the source's scheme the one the sender uses?")]
    MissingHeader {
        /// Its name, lower-case.
        header: Cow<'static, str>,
    },
    /// A header is there and cannot be understood.
    #[error("the header `{header}` is malformed: {reason}")]
    MalformedHeader {
        /// Its name, lower-case.
        header: Cow<'static, str>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The request was signed too long ago.
    #[error(
        "the request was signed {age_s} s ago, more than the {tolerance_s} s tolerated; sign it again, or set the clock"
    )]
    Stale {
        /// Its age in seconds.
        age_s: u64,
        /// The tolerance in seconds.
        tolerance_s: u64,
    },
    /// The request claims to be signed in the future.
    #[error(
        "the request is dated {lead_s} s in the future, more than the {tolerance_s} s tolerated; set the clock"
    )]
    Future {
        /// How far in the future, in seconds.
        lead_s: u64,
        /// The tolerance in seconds.
        tolerance_s: u64,
    },
    /// No signature is right for this body and any of the secrets.
    #[error(
        "no signature matches the request; check the secret, the URL, and that nothing rewrites the body on the way"
    )]
    SignatureMismatch,
    /// The signature covers nothing of the body.
    #[error("the signature does not cover this body; send a form, or a URL with `bodySHA256`")]
    BodyNotCovered,
    /// A form must be held in memory to verify it, and this one is too large for that.
    #[error(
        "a form of more than {limit} bytes cannot be verified; send it as JSON with `bodySHA256` in the URL"
    )]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}
