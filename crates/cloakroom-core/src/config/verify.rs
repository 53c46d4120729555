//! `sources.*.verify`: how a source's webhooks are signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret_ref::SecretRef;
use super::selector::Selector;
use super::units::DurationText;

/// How a source's webhooks are signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The provider's signature scheme; `hmac` for one that the other keys describe; `none` for no signature at all.
    pub scheme: SchemeName,
    /// Where the active secrets are found. Several while one is being replaced: any of them will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = example_secrets())]
    pub secrets: Vec<SecretRef>,
    /// For `hmac`: the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Algorithm::Sha256))]
    pub algorithm: Option<Algorithm>,
    /// For `hmac`: how the signature is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Encoding::Hex))]
    pub encoding: Option<Encoding>,
    /// For `hmac`: the header that holds the signature. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"X-Signature")]
    pub header: Option<String>,
    /// For `hmac`: what stands before the signature in its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"sha256=")]
    pub prefix: Option<String>,
    /// For `hmac`: what is signed, a template that contains `{body}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"{timestamp}.{body}", extend("default" = "{body}"))]
    pub signed: Option<String>,
    /// For `hmac`: where the signed timestamp is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"header:X-Timestamp")]
    pub timestamp: Option<Selector>,
    /// How far the signed timestamp may be from now, in either direction; default from the scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"5m")]
    pub tolerance: Option<DurationText>,
}

fn example_secrets() -> serde_json::Value {
    serde_json::json!(["env:TRANSFERS_SECRET", "env:TRANSFERS_SECRET_OLD"])
}

impl Verify {
    /// The names of the `hmac` keys that are set.
    pub(super) fn hmac_keys(&self) -> Vec<&'static str> {
        [
            ("algorithm", self.algorithm.is_some()),
            ("encoding", self.encoding.is_some()),
            ("header", self.header.is_some()),
            ("prefix", self.prefix.is_some()),
            ("signed", self.signed.is_some()),
            ("timestamp", self.timestamp.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, set)| set.then_some(key))
        .collect()
    }
}

/// A signature scheme by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the variants are the providers' names")]
pub enum SchemeName {
    StandardWebhooks,
    Svix,
    Stripe,
    Github,
    Shopify,
    Bigcommerce,
    Slack,
    Adyen,
    Twilio,
    Square,
    Paddle,
    Gitlab,
    Hmac,
    None,
}

impl SchemeName {
    /// Whether the provider's scheme names every event, so that a webhook that comes again is recognised by its id.
    pub(super) fn has_identity(self) -> bool {
        !matches!(self, Self::Hmac | Self::None)
    }
}

/// A hash for `hmac`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the variants are the hashes' names")]
pub enum Algorithm {
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the variants are the encodings' names")]
pub enum Encoding {
    #[default]
    Hex,
    Base64,
}
