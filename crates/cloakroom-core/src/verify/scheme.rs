//! The configuration of a scheme.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::SchemeError;
use super::preset::{Method, Preset, Replay};
use super::recipe::{self, Recipe};
use crate::secret::SecretRef;
use crate::select::Selector;
use crate::units::DurationText;

/// A provider's way of signing, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline, transform = with_svix)]
pub enum SchemeName {
    /// Standard Webhooks, which is also what Svix sends: HMAC-SHA256 (`whsec_…`) or Ed25519 (`whpk_…`).
    #[serde(alias = "svix")]
    StandardWebhooks,
    /// Stripe: `Stripe-Signature: t=…,v1=…`.
    Stripe,
    /// GitHub: `X-Hub-Signature-256`. The event's id, in `X-GitHub-Delivery`, is not signed.
    Github,
    /// Shopify: `X-Shopify-Hmac-Sha256`. The event's id, in `X-Shopify-Event-Id`, is not signed.
    Shopify,
    /// BigCommerce: Standard Webhooks, keyed with the app's client secret as it is.
    Bigcommerce,
    /// Slack: `X-Slack-Signature`.
    Slack,
    /// Adyen's platform webhooks (transfers, accounts, …): the `HmacSignature` header over the body.
    Adyen,
    /// Twilio: `X-Twilio-Signature` over the URL and the form fields, or over the URL with the body's hash. The event's id,
    /// in `I-Twilio-Idempotency-Token`, is not signed.
    Twilio,
    /// Square: `X-Square-HmacSha256-Signature` over the URL and the body.
    Square,
    /// Paddle Billing: `Paddle-Signature: ts=…;h1=…`.
    Paddle,
    /// GitLab: the secret token in `X-Gitlab-Token`, or a Standard Webhooks signature for `whsec_…` signing tokens. With a
    /// secret token the event's id, in `webhook-id` or `Idempotency-Key`, is not signed.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Algorithm {
    /// SHA-1. Old, but still sound inside an HMAC.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Encoding {
    /// Hexadecimal, either case.
    #[default]
    Hex,
    /// Base64 of the standard alphabet, padded or not.
    Base64,
}

/// How the configured secret becomes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum SecretEncoding {
    /// The secret's bytes are the key.
    #[default]
    Raw,
    /// Hexadecimal.
    Hex,
    /// Base64 of the standard alphabet, padded or not.
    Base64,
    /// Base64 after an optional `whsec_`.
    Whsec,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum TimestampUnit {
    /// Whole seconds since the Unix epoch.
    #[default]
    Seconds,
    /// Whole milliseconds since the Unix epoch.
    Milliseconds,
    /// RFC 3339 text.
    Rfc3339,
}

/// Adds the other name of Standard Webhooks, which serde's alias keeps out of the schema.
fn with_svix(schema: &mut Schema) {
    if let Some(Value::Array(names)) = schema.get_mut("oneOf") {
        names.push(json!({ "description": "The same as `standard-webhooks`.", "type": "string", "const": "svix" }));
    }
}

/// How a source's webhooks are signed: what stands under `verify:`.
///
/// All keys but `scheme`, `secrets` and `tolerance` describe the `hmac` scheme and are mistakes with any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// The provider's signature scheme; `hmac` for one that the other keys describe; `none` for no signature at all.
    pub scheme: SchemeName,
    /// Where the active secrets are found. Several while one is being replaced: any of them will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = example_secrets())]
    pub secrets: Vec<SecretRef>,
    /// How far the signed timestamp may be from now, in either direction; default from the scheme. Only where the scheme
    /// signs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"5m")]
    pub tolerance: Option<DurationText>,
    /// For `hmac`: the hash function.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Algorithm::default()))]
    pub algorithm: Option<Algorithm>,
    /// For `hmac`: how the signature is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Encoding::default()))]
    pub encoding: Option<Encoding>,
    /// For `hmac`: the header that holds the signature. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"X-Signature")]
    pub header: Option<String>,
    /// For `hmac`: what stands before the signature in its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"sha256=")]
    pub prefix: Option<String>,
    /// For `hmac`: the signature's name in a header that is a list, such as `t=…,v1=…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"v1")]
    pub element: Option<String>,
    /// For `hmac`: what separates the elements of such a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = recipe::SEPARATOR))]
    pub separator: Option<char>,
    /// For `hmac`: what is signed, a template with `{body}` and any of `{timestamp}`, `{id}`, `{url}`, `{method}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"{timestamp}.{body}", extend("default" = recipe::BODY))]
    pub signed: Option<String>,
    /// For `hmac`: where the signed timestamp is found: `header:<name>`, or `element:<name>` of the signature's own header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"header:X-Timestamp")]
    pub timestamp: Option<String>,
    /// For `hmac`: how the timestamp is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = TimestampUnit::default()))]
    pub timestamp_unit: Option<TimestampUnit>,
    /// For `hmac`: the header that holds the signed `{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"X-Event-Id")]
    pub id_header: Option<String>,
    /// For `hmac`: how the secrets are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = SecretEncoding::default()))]
    pub secret_encoding: Option<SecretEncoding>,
}

fn example_secrets() -> Value {
    json!(["env:TRANSFERS_SECRET", "env:TRANSFERS_SECRET_OLD"])
}

impl Scheme {
    /// The scheme of that name with nothing else set.
    pub const fn new(scheme: SchemeName) -> Self {
        Self {
            scheme,
            secrets: Vec::new(),
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

    /// Finds the first of [`Scheme::mistakes`].
    ///
    /// # Errors
    /// Names the key that is missing, does not belong here, or cannot be understood.
    pub fn validate(&self) -> Result<(), SchemeError> {
        self.mistakes().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every contradiction that can be seen without the secrets.
    pub fn mistakes(&self) -> Vec<SchemeError> {
        let scheme = self.scheme;
        let mut found = Vec::new();
        if scheme == SchemeName::Hmac {
            found.extend(recipe::mistakes(self));
        } else {
            let undated = self.tolerance.is_some() && scheme.preset().tolerance().is_none();
            let keys = self.hmac_keys().chain(undated.then_some("tolerance"));
            found.extend(keys.map(|key| SchemeError::NotForScheme { key, scheme }));
        }
        if self.tolerance.is_some_and(|span| span.get().is_zero()) {
            found.push(SchemeError::ZeroTolerance);
        }
        found
    }

    /// Whether so many secrets are what the scheme needs.
    ///
    /// # Errors
    /// None for a scheme that verifies, or some for one that does not.
    pub fn expects_secrets(&self, count: usize) -> Result<(), SchemeError> {
        match (self.scheme, count) {
            (SchemeName::None, 1..) => Err(SchemeError::UnusedSecrets),
            (SchemeName::None, 0) | (_, 1..) => Ok(()),
            (scheme, 0) => Err(SchemeError::NoSecrets(scheme)),
        }
    }

    /// What stops a captured request from being sent again.
    pub fn replay(&self) -> Replay {
        match self.timestamp {
            Some(_) => Replay::Tolerance,
            None => self.scheme.preset().replay,
        }
    }

    /// Whether the signature covers what the selector finds. Who captured a request can change what it does not cover
    /// and send it again.
    pub fn signs(&self, selector: &Selector) -> bool {
        let by_recipe = |recipe: &Recipe| match selector {
            Selector::Header(name) => recipe.signs_header(name),
            Selector::Query(_) => recipe.signed.contains("{url}"),
            Selector::Body(_) | Selector::Const(_) => true,
        };
        match &self.scheme.preset().method {
            // A token is no signature, whatever else its holder may send.
            Method::Open | Method::Token { .. } => matches!(selector, Selector::Const(_)),
            Method::Hmac(recipe) => by_recipe(recipe),
            Method::Configured => Recipe::from_scheme(self).is_ok_and(|recipe| by_recipe(&recipe)),
            Method::Twilio => !matches!(selector, Selector::Header(_)),
        }
    }

    /// The keys that are set and that only `hmac` has.
    fn hmac_keys(&self) -> impl Iterator<Item = &'static str> {
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
        .filter_map(|(key, set)| set.then_some(key))
    }
}
