//! Signing as the providers sign: for test webhooks, the demo's provider, and Cloakroom's own deliveries.

use base64::Engine;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};

use super::clock;
use super::keyed::render;
use super::mac::{Mac, Tag};
use super::preset::Method;
use super::recipe::{Layout, Recipe, Template};
use super::scheme::{Algorithm, Encoding, Scheme, SchemeError};
use super::secret::{self, BASE64};
use super::twilio;
use super::verifier::RequestHead;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Signs one request: [`Signer::new`] and [`Signer::sign`] in one.
///
/// # Errors
/// As theirs.
pub fn sign(
    scheme: &Scheme,
    secret: &Secret,
    head: &RequestHead<'_>,
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Result<Vec<(String, String)>, SchemeError> {
    Signer::new(scheme, secret)?.sign(head, id, now, body)
}

/// Signs requests with one secret. Built once, used for all of them.
pub struct Signer {
    kind: Kind,
    /// The header that carries the event's id although the signature does not cover it.
    id_header: Option<&'static str>,
}

enum Kind {
    Open,
    Mac(Recipe, Template, Mac),
    Ed25519(Recipe, Template, Box<SigningKey>),
    Token { header: &'static str, token: Secret },
    Twilio(Secret),
}

impl Signer {
    /// Prepares the key.
    ///
    /// # Errors
    /// When the scheme contradicts itself, or the secret is not written as the scheme writes them, or is a public key.
    /// The scheme `none` takes an empty secret.
    pub fn new(scheme: &Scheme, secret: &Secret) -> Result<Self, SchemeError> {
        scheme.validate()?;
        let preset = scheme.scheme.preset();
        let empty = secret.expose().trim_ascii().is_empty();
        let kind = match &preset.method {
            Method::Open if empty => Kind::Open,
            Method::Open => return Err(SchemeError::UnusedSecrets),
            _ if empty => return Err(SchemeError::EmptySecret(0)),
            Method::Hmac(recipe) => keyed(recipe.clone(), secret)?,
            Method::Configured => keyed(Recipe::from_scheme(scheme)?, secret)?,
            Method::Token { signed, .. } if secret::is_whsec(secret) => {
                keyed(signed.clone(), secret)?
            }
            Method::Token { header, .. } => Kind::Token {
                header,
                token: secret.clone(),
            },
            Method::Twilio => Kind::Twilio(secret.clone()),
        };
        // A signed token of GitLab comes with `webhook-id`, a plain one with the last of the identity headers.
        let identity = if matches!(kind, Kind::Token { .. }) {
            preset.identity.last()
        } else {
            preset.identity.first()
        };
        Ok(Self {
            kind,
            id_header: identity.and_then(|selector| selector.strip_prefix("header:")),
        })
    }

    /// The headers to add to the request, names in lower case: the signature, what it covers, and the event's `id`
    /// under the name the provider gives it, where it has one.
    ///
    /// # Errors
    /// When a body is neither a form nor named by its hash in the URL, which Twilio cannot sign.
    pub fn sign(
        &self,
        head: &RequestHead<'_>,
        id: &str,
        now: Timestamp,
        body: &[u8],
    ) -> Result<Vec<(String, String)>, SchemeError> {
        let mut headers = match &self.kind {
            Kind::Open => Vec::new(),
            Kind::Token { header, token } => {
                vec![(
                    (*header).to_owned(),
                    String::from_utf8_lossy(token.expose()).into_owned(),
                )]
            }
            Kind::Twilio(secret) => vec![(
                twilio::SIGNATURE.to_owned(),
                twilio_signature(secret, head, body)?,
            )],
            Kind::Mac(recipe, template, mac) => {
                let timestamp = clock::write(now, recipe.unit);
                let mut mac = mac.clone();
                render(&template.before, head, id.as_bytes(), &timestamp, |bytes| {
                    mac.update(bytes);
                });
                mac.update(body);
                render(&template.after, head, id.as_bytes(), &timestamp, |bytes| {
                    mac.update(bytes);
                });
                layout(
                    recipe,
                    &encode(&mac.finish(), recipe.encoding),
                    &timestamp,
                    id,
                    false,
                )
            }
            Kind::Ed25519(recipe, template, key) => {
                let timestamp = clock::write(now, recipe.unit);
                let mut content = Vec::with_capacity(body.len() + 128);
                render(&template.before, head, id.as_bytes(), &timestamp, |bytes| {
                    content.extend_from_slice(bytes);
                });
                content.extend_from_slice(body);
                render(&template.after, head, id.as_bytes(), &timestamp, |bytes| {
                    content.extend_from_slice(bytes);
                });
                let tag = Tag::new(&key.sign(&content).to_bytes());
                layout(recipe, &encode(&tag, recipe.encoding), &timestamp, id, true)
            }
        };
        if let Some(name) = self.id_header.map(str::to_ascii_lowercase)
            && !headers.iter().any(|(header, _)| *header == name)
        {
            headers.push((name, id.to_owned()));
        }
        Ok(headers)
    }
}

fn keyed(recipe: Recipe, secret: &Secret) -> Result<Kind, SchemeError> {
    let template = Template::parse(&recipe.signed)?;
    if matches!(
        recipe.layout,
        Layout::List {
            ed25519: Some(_),
            ..
        }
    ) {
        if let Some(key) = secret::signing_key(secret, 0)? {
            return Ok(Kind::Ed25519(recipe, template, Box::new(key)));
        }
        if secret::is_public(secret) {
            return Err(SchemeError::CannotSign);
        }
    }
    let mac = Mac::new(recipe.algorithm, &secret::key(secret, recipe.secret, 0)?);
    Ok(Kind::Mac(recipe, template, mac))
}

/// Writes the headers of a signature as the recipe reads them.
fn layout(
    recipe: &Recipe,
    signature: &str,
    timestamp: &str,
    id: &str,
    asymmetric: bool,
) -> Vec<(String, String)> {
    let names = &recipe.headers;
    let mut headers = Vec::with_capacity(3);
    if let Some(name) = &names.id {
        headers.push((name.to_string(), id.to_owned()));
    }
    if let Some(name) = &names.timestamp {
        headers.push((name.to_string(), timestamp.to_owned()));
    }
    let value = match &recipe.layout {
        Layout::Whole { prefix } => format!("{prefix}{signature}"),
        Layout::List {
            separator,
            assign,
            element,
            timestamp: time,
            ed25519,
        } => {
            let element = ed25519.as_ref().filter(|_| asymmetric).unwrap_or(element);
            let time = time
                .as_ref()
                .map(|name| format!("{name}{assign}{timestamp}{separator}"))
                .unwrap_or_default();
            format!("{time}{element}{assign}{signature}")
        }
    };
    headers.push((names.signature.to_string(), value));
    headers
}

fn encode(tag: &Tag, encoding: Encoding) -> String {
    match encoding {
        Encoding::Hex => hex::encode(tag.as_slice()),
        Encoding::Base64 => BASE64.encode(tag.as_slice()),
    }
}

fn twilio_signature(
    secret: &Secret,
    head: &RequestHead<'_>,
    body: &[u8],
) -> Result<String, SchemeError> {
    let algorithm = twilio::algorithm(head).unwrap_or(Algorithm::Sha1);
    let mut mac = Mac::new(algorithm, secret.expose());
    mac.update(head.url.as_bytes());
    match twilio::body_hash(head.url) {
        Some(hash) if hash == hex::encode(Sha256::digest(body)) => {}
        None if body.is_empty() => {}
        None if twilio::is_form(head) => {
            for (name, value) in twilio::sorted_fields(body) {
                mac.update(&name);
                mac.update(&value);
            }
        }
        _ => {
            return Err(SchemeError::BodyNotSignable(hex::encode(Sha256::digest(
                body,
            ))));
        }
    }
    Ok(encode(&mac.finish(), Encoding::Base64))
}
