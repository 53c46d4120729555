//! The mistakes in a scheme's configuration.

use super::scheme::SchemeName;
use crate::text::echo;

/// What is wrong with a scheme or its secrets. The text is `what is wrong; what to do`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// A key that means nothing for this scheme.
    #[error(
        "`{key}` does not apply to the scheme `{scheme}`; remove it, or describe your own scheme with `scheme: hmac`"
    )]
    NotForScheme {
        /// The key.
        key: &'static str,
        /// The scheme.
        scheme: SchemeName,
    },
    /// No `header`, without which the other keys mean nothing.
    #[error(
        "the scheme `hmac` needs `header`; add the header that holds the signature, e.g. `header: X-Signature`"
    )]
    MissingHeader,
    /// Two keys, or a key and the template, contradict each other.
    #[error("{text}")]
    Contradiction {
        /// The key that is to be changed.
        key: &'static str,
        /// What is wrong, and what to do.
        text: &'static str,
    },
    /// A header name with characters that no header name has.
    #[error(
        "{} does not name a header; use letters, digits and `-`, as in `X-Signature`",
        echo(name)
    )]
    BadHeaderName {
        /// The key.
        key: &'static str,
        /// What was written.
        name: String,
    },
    /// `timestamp` is of no known form.
    #[error(
        "{} does not say where the timestamp is found; write `header:<name>` or `element:<name>`",
        echo(.0)
    )]
    BadTimestampSource(String),
    /// The template names something unknown, or has an unclosed brace.
    #[error(
        "{} is no part of what can be signed; the parts are {{body}}, {{timestamp}}, {{id}}, {{url}} and {{method}}",
        echo(.0)
    )]
    BadTemplate(String),
    /// A tolerance that refuses everything.
    #[error("`tolerance` must be longer than nothing; write e.g. `5m`")]
    ZeroTolerance,
    /// The scheme verifies with a secret and has none.
    #[error(
        "the scheme `{0}` needs at least one secret; add where it is found, e.g. `secrets: [env:NAME]`"
    )]
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
        "twilio signs form fields, or the URL's bodySHA256; send a form, or add `bodySHA256={0}` to the URL's query"
    )]
    BodyNotSignable(String),
}

impl SchemeError {
    /// The place of the mistake below `verify`, e.g. `header` or `secrets[1]`. Empty when it is none of the configuration.
    pub fn path(&self) -> String {
        let key = match self {
            Self::NotForScheme { key, .. }
            | Self::Contradiction { key, .. }
            | Self::BadHeaderName { key, .. } => key,
            Self::MissingHeader => "header",
            Self::BadTimestampSource(_) => "timestamp",
            Self::BadTemplate(_) => "signed",
            Self::ZeroTolerance => "tolerance",
            Self::NoSecrets(_) | Self::UnusedSecrets => "secrets",
            Self::EmptySecret(index) | Self::BadSecret { index, .. } => {
                return format!("secrets[{index}]");
            }
            Self::CannotSign | Self::BodyNotSignable(_) => "",
        };
        key.to_owned()
    }

    /// The same about the secret whose number `place` gives.
    pub(super) fn renumbered(self, place: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::EmptySecret(index) => Self::EmptySecret(place(index)),
            Self::BadSecret { index, expected } => Self::BadSecret {
                index: place(index),
                expected,
            },
            other => other,
        }
    }
}
