//! Twilio: an HMAC over the URL and the sorted form fields, or over a URL that contains the body's hash.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keyed::{decode, malformed, text};
use super::mac::{Mac, Tag, any_match, tag_len};
use super::recipe::Text;
use super::scheme::{Algorithm, Encoding};
use super::verifier::{FORM_MAX_BYTES, Rejection, RequestHead};
use crate::secret::Secret;

/// Carries the signature.
pub(super) const SIGNATURE: &str = "x-twilio-signature";
/// Names another algorithm than SHA-1 where the request is signed with a shared key: `key=…,algorithm=HMAC_SHA256`.
pub(super) const SETTINGS: &str = "x-twilio-webhooks-signature-settings";
const BODY_HASH: &str = "bodySHA256";

/// The keys of one source.
pub(super) struct Twilio {
    keys: Vec<Zeroizing<Vec<u8>>>,
}

/// One request under way.
pub(super) struct TwilioCheck {
    /// One for each key and each way to write the URL.
    macs: Vec<Mac>,
    received: [Tag; 1],
    body: Body,
}

/// How the signature reaches the body.
enum Body {
    /// By the fields of a form, sorted once they are all there. `None` once there are too many bytes.
    Form(Option<Vec<u8>>),
    /// By a hash in the URL.
    Hash {
        sha256: Sha256,
        expected: Option<[u8; 32]>,
    },
    /// Not at all, so there must be none.
    Absent { seen: bool },
}

impl Twilio {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        Self {
            keys: secrets
                .iter()
                .map(|secret| Zeroizing::new(secret.expose().to_vec()))
                .collect(),
        }
    }

    pub(super) fn begin(&self, head: &RequestHead<'_>) -> Result<TwilioCheck, Rejection> {
        let header: Text = Cow::Borrowed(SIGNATURE);
        let algorithm = algorithm(head)?;
        let received = decode(text(head, &header)?, Encoding::Base64, tag_len(algorithm))
            .ok_or_else(|| malformed(&header, "it is no signature of the algorithm in base64"))?;
        let urls = url_forms(head.url);
        let mut macs = Vec::with_capacity(self.keys.len() * urls.len());
        for key in &self.keys {
            let keyed = Mac::new(algorithm, key);
            macs.extend(urls.iter().map(|url| {
                let mut mac = keyed.clone();
                mac.update(url.as_bytes());
                mac
            }));
        }
        let body = match body_hash(head.url) {
            Some(text) => {
                let mut expected = [0; 32];
                let is_hash = hex::decode_to_slice(text, &mut expected).is_ok();
                Body::Hash {
                    sha256: Sha256::new(),
                    expected: is_hash.then_some(expected),
                }
            }
            None if is_form(head) => Body::Form(Some(Vec::new())),
            None => Body::Absent { seen: false },
        };
        Ok(TwilioCheck {
            macs,
            received: [received],
            body,
        })
    }
}

impl TwilioCheck {
    pub(super) fn update(&mut self, chunk: &[u8]) {
        match &mut self.body {
            Body::Form(form) => match form {
                Some(bytes) if bytes.len() + chunk.len() <= FORM_MAX_BYTES => {
                    bytes.extend_from_slice(chunk);
                }
                // Given back at once, so that a body without end costs nothing more.
                _ => *form = None,
            },
            Body::Hash { sha256, .. } => sha256.update(chunk),
            Body::Absent { seen } => *seen |= !chunk.is_empty(),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Rejection> {
        let mut body_holds = subtle::Choice::from(1);
        match self.body {
            Body::Form(None) => {
                return Err(Rejection::BodyTooLarge {
                    limit: FORM_MAX_BYTES,
                });
            }
            Body::Form(Some(form)) => {
                for (name, value) in sorted_fields(&form) {
                    for mac in &mut self.macs {
                        mac.update(&name);
                        mac.update(&value);
                    }
                }
            }
            Body::Hash { sha256, expected } => {
                let actual: [u8; 32] = sha256.finalize().into();
                body_holds =
                    expected.map_or(subtle::Choice::from(0), |expected| expected.ct_eq(&actual));
            }
            Body::Absent { seen: true } => return Err(Rejection::BodyNotCovered),
            Body::Absent { seen: false } => {}
        }
        let matched = any_match(self.macs.into_iter().map(Mac::finish), &self.received);
        if bool::from(matched & body_holds) {
            Ok(())
        } else {
            Err(Rejection::SignatureMismatch)
        }
    }
}

#[cfg(test)]
impl TwilioCheck {
    pub(super) fn held_bytes(&self) -> usize {
        let form = match &self.body {
            Body::Form(Some(form)) => form.capacity(),
            _ => 0,
        };
        size_of_val(self.macs.as_slice()) + form
    }
}

/// The algorithm the request names. Which one it is takes nothing from an attacker: both need the key.
pub(super) fn algorithm(head: &RequestHead<'_>) -> Result<Algorithm, Rejection> {
    let header: Text = Cow::Borrowed(SETTINGS);
    if head.headers.get(&header).is_none_or(<[u8]>::is_empty) {
        return Ok(Algorithm::Sha1);
    }
    let named = text(head, &header)?
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name.trim() == "algorithm").then(|| value.trim()))
        .unwrap_or_default();
    if named.is_empty() || named.eq_ignore_ascii_case("HMAC_SHA1") {
        Ok(Algorithm::Sha1)
    } else if named.eq_ignore_ascii_case("HMAC_SHA256") {
        Ok(Algorithm::Sha256)
    } else {
        Err(malformed(
            &header,
            "it names an algorithm other than HMAC_SHA1 and HMAC_SHA256",
        ))
    }
}

/// Whether the body is a form by its content type.
pub(super) fn is_form(head: &RequestHead<'_>) -> bool {
    let content_type = head.headers.get("content-type").unwrap_or_default();
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The `bodySHA256` of the URL's query.
pub(super) fn body_hash(url: &str) -> Option<&str> {
    let query = url.split('#').next()?.split_once('?')?.1;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == BODY_HASH).then_some(value))
}

/// The fields as Twilio signs them: by name, then by value, equal ones once.
pub(super) fn sorted_fields(form: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = form
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    let mut fields: Vec<_> = pairs
        .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (unescape(&pair[..at]), unescape(&pair[at + 1..])),
            None => (unescape(pair), Vec::new()),
        })
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

/// The URL as received, without its port, and with the default port: Twilio signs any of them.
fn url_forms(url: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(url)];
    let Some((scheme, rest)) = url.split_once("://") else {
        return forms;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let port = authority.rfind(':').filter(|at| {
        let digits = &authority[at + 1..];
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    forms.push(Cow::Owned(match port {
        Some(at) => format!("{scheme}://{}{path}", &authority[..at]),
        None => format!(
            "{scheme}://{authority}:{}{path}",
            if scheme == "https" { 443 } else { 80 }
        ),
    }));
    forms
}
