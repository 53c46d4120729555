//! The configuration of a scheme, and its mistakes.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::preset::Preset;
use super::recipe::Recipe;

/// A provider's way of signing, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// Standard Webhooks, which is also what Svix sends: HMAC-SHA256 (`whsec_…`) or Ed25519 (`whpk_…`).
    #[serde(alias = "svix")]
    StandardWebhooks,
    /// Stripe: `Stripe-Signature: t=…,v1=…`.
    Stripe,
    /// GitHub: `X-Hub-Signature-256`.
    Github,
    /// Shopify: `X-Shopify-Hmac-Sha256`.
    Shopify,
    /// BigCommerce: Standard Webhooks, keyed with the app's client secret as it is.
    Bigcommerce,
    /// Slack: `X-Slack-Signature`.
    Slack,
    /// Adyen's platform webhooks (transfers, accounts, …): the `HmacSignature` header over the body.
    Adyen,
    /// Twilio: `X-Twilio-Signature` over the URL and the form fields, or over the URL with the body's hash.
    Twilio,
    /// Square: `X-Square-HmacSha256-Signature` over the URL and the body.
    Square,
    /// Paddle Billing: `Paddle-Signature: ts=…;h1=…`.
    Paddle,
    /// GitLab: the secret token in `X-Gitlab-Token`, or a Standard Webhooks signature for `whsec_…` signing tokens.
    Gitlab,
    /// No signature at all: whoever can reach the endpoint is believed.
    None,
    /// An HMAC signature described by the other keys.
    Hmac,
}

impl SchemeName {
    /// Every scheme, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::StandardWebhooks,
        Self::Stripe,
        Self::Github,
        Self::Shopify,
        Self::Bigcommerce,
        Self::Slack,
        Self::Adyen,
        Self::Twilio,
        Self::Square,
        Self::Paddle,
        Self::Gitlab,
        Self::None,
        Self::Hmac,
    ];

    /// The name as the configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stripe => "stripe",
            Self::Github => "github",
            Self::Shopify => "shopify",
            Self::Bigcommerce => "bigcommerce",
            Self::Slack => "slack",
            Self::Adyen => "adyen",
            Self::Twilio => "twilio",
            Self::Square => "square",
            Self::Paddle => "paddle",
            Self::Gitlab => "gitlab",
            Self::None => "none",
            Self::Hmac => "hmac",
        }
    }

    /// What is known about the provider.
    pub fn preset(self) -> &'static Preset {
        Preset::of(self)
    }
}

impl fmt::Display for SchemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hash function under an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// SHA-1. Old, but still sound inside an HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Hexadecimal, either case.
    Hex,
    /// Base64 of the standard alphabet, padded or not.
    Base64,
}

/// How the configured secret becomes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretEncoding {
    /// The secret's bytes are the key.
    Raw,
    /// Hexadecimal.
    Hex,
    /// Base64 of the standard alphabet, padded or not.
    Base64,
    /// Base64 after an optional `whsec_`.
    Whsec,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampUnit {
    /// Whole seconds since the Unix epoch.
    Seconds,
    /// Whole milliseconds since the Unix epoch.
    Milliseconds,
    /// RFC 3339 text.
    Rfc3339,
}

/// What `verify:` says about a source, its secrets apart.
///
/// All keys but `scheme` and `tolerance` describe the `hmac` scheme and are mistakes with any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// Who signs, or `hmac` for a scheme of your own.
    pub scheme: SchemeName,
    /// How far a signed timestamp may be from now, e.g. `5m`. Only where the scheme signs one.
    #[serde(
        default,
        with = "super::clock::text",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))]
    pub tolerance: Option<Duration>,
    /// The hash function. `sha256` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// How the signature is written. `hex` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The header that carries the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// What stands before the signature, e.g. `sha256=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The signature's name in a header that is a list, e.g. `v1` in `t=…,v1=…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// What separates the elements of such a list. `,` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// What is signed: text with `{body}` and any of `{timestamp}`, `{id}`, `{url}`, `{method}`. `{body}` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// Where the signed timestamp is: `header:<name>`, or `element:<name>` of the signature's own header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// How the timestamp is written. `seconds` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_unit: Option<TimestampUnit>,
    /// The header that carries the signed `{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_header: Option<String>,
    /// How the secrets are written. `raw` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_encoding: Option<SecretEncoding>,
}

impl Scheme {
    /// The scheme of that name with nothing else set.
    pub const fn new(scheme: SchemeName) -> Self {
        Self {
            scheme,
            tolerance: None,
            algorithm: None,
            encoding: None,
            header: None,
            prefix: None,
            element: None,
            separator: None,
            signed: None,
            timestamp: None,
            timestamp_unit: None,
            id_header: None,
            secret_encoding: None,
        }
    }

    /// Finds every contradiction that needs no secret to be seen.
    ///
    /// # Errors
    /// Names the key that is missing, does not belong here, or cannot be understood.
    pub fn validate(&self) -> Result<(), SchemeError> {
        if self.scheme == SchemeName::Hmac {
            return Recipe::from_scheme(self).map(drop);
        }
        if let Some(key) = self.hmac_key() {
            return Err(SchemeError::NotForScheme {
                key,
                scheme: self.scheme,
            });
        }
        match self.tolerance {
            Some(_) if self.scheme.preset().tolerance().is_none() => {
                Err(SchemeError::NotForScheme {
                    key: "tolerance",
                    scheme: self.scheme,
                })
            }
            Some(Duration::ZERO) => Err(SchemeError::ZeroTolerance),
            _ => Ok(()),
        }
    }

    /// The first key that is set although only `hmac` has it.
    fn hmac_key(&self) -> Option<&'static str> {
        [
            ("algorithm", self.algorithm.is_some()),
            ("encoding", self.encoding.is_some()),
            ("header", self.header.is_some()),
            ("prefix", self.prefix.is_some()),
            ("element", self.element.is_some()),
            ("separator", self.separator.is_some()),
            ("signed", self.signed.is_some()),
            ("timestamp", self.timestamp.is_some()),
            ("timestamp_unit", self.timestamp_unit.is_some()),
            ("id_header", self.id_header.is_some()),
            ("secret_encoding", self.secret_encoding.is_some()),
        ]
        .into_iter()
        .find_map(|(key, set)| set.then_some(key))
    }
}

/// What is wrong with a scheme or its secrets. Fits after "failed to set up verification: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// A key that means nothing for this scheme.
    #[error("`{key}` does not apply to the scheme `{scheme}`; remove it")]
    NotForScheme {
        /// The key.
        key: &'static str,
        /// The scheme.
        scheme: SchemeName,
    },
    /// A key without which the others mean nothing.
    #[error("the scheme `hmac` needs `{key}`: {hint}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// What to put there.
        hint: &'static str,
    },
    /// Two keys, or a key and the template, contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// A header name with characters that no header name has.
    #[error("`{key}` is no header name; use letters, digits and `-`, as in `X-Signature`")]
    BadHeaderName {
        /// The key.
        key: &'static str,
    },
    /// `timestamp` is of no known form.
    #[error("`timestamp` must be `header:<name>` or `element:<name>`")]
    BadTimestampSource,
    /// The template names something unknown, or has an unclosed brace.
    #[error(
        "`signed` has an unknown part `{0}`; the parts are {{body}}, {{timestamp}}, {{id}}, {{url}} and {{method}}"
    )]
    BadTemplate(String),
    /// A tolerance that refuses everything.
    #[error("`tolerance` must be longer than nothing, e.g. `5m`")]
    ZeroTolerance,
    /// The scheme verifies with a secret and has none.
    #[error("the scheme `{0}` needs at least one secret")]
    NoSecrets(SchemeName),
    /// Secrets where nothing is verified.
    #[error(
        "the scheme `none` verifies nothing and takes no secrets; name the provider's scheme or remove them"
    )]
    UnusedSecrets,
    /// A secret of no bytes, which anybody could guess.
    #[error("secret {} is empty; check where it is read from", .0 + 1)]
    EmptySecret(usize),
    /// A secret that is not written as the scheme writes its secrets.
    #[error("secret {} is not {expected}; copy it from the provider again", .index + 1)]
    BadSecret {
        /// Which one, counted from zero.
        index: usize,
        /// How it should be written.
        expected: &'static str,
    },
    /// A public key was given where something must be signed.
    #[error("a public key cannot sign; use the `whsk_…` key that belongs to it")]
    CannotSign,
    /// A body that the scheme has no way of signing.
    #[error(
        "twilio signs form fields, or the URL's bodySHA256: send a form, or add `bodySHA256={0}` to the URL's query"
    )]
    BodyNotSignable(String),
}
