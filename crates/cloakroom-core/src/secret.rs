//! Secrets: kept as references in the configuration, as opaque bytes in memory, and never printed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::text::{Mistake, TextSchema, nearest, text_value};

/// The bytes of a secret. Has no `Display`, a `Debug` that hides it, and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

/// In a time that depends on the lengths only.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is kept of a secret that others present as it is, such as a token: its SHA-256. Comparing hashes shows not even the
/// secret's length in the time it takes. There is no other way to compare it than [`SecretHash::is_of`].
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of these bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the hash of what somebody offers, in constant time.
    pub fn is_of(&self, offered: &[u8]) -> Choice {
        self.0.ct_eq(&Self::of(offered).0)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// Where a secret is found: `env:NAME`, `file:PATH` or `aws-secret:NAME-or-ARN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that holds the secret and nothing else.
    File(PathBuf),
    /// A secret of AWS Secrets Manager, by name or ARN.
    AwsSecret(String),
}

const KINDS: [&str; 3] = ["env", "file", "aws-secret"];
const HINT: &str = "write where the secret is found: `env:NAME`, `file:PATH` or `aws-secret:NAME`";

/// What is found is never repeated in a message: it may be the secret itself.
impl FromStr for SecretRef {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let literal = || Mistake::new("a secret itself is written here (not shown)", HINT);
        let (kind, name) = text.split_once(':').ok_or_else(literal)?;
        match kind {
            "env" if is_variable(name) => Ok(Self::Env(name.to_owned())),
            "env" => Err(Mistake::new(
                "what follows `env:` is not the name of an environment variable (not shown)",
                "write the variable's name, without `$`: letters, digits and `_`, e.g. `env:BILLING_SECRET`",
            )),
            "file" | "aws-secret" if name.trim().is_empty() => {
                Err(Mistake::new(format!("nothing follows `{kind}:`"), HINT))
            }
            "file" => Ok(Self::File(name.into())),
            "aws-secret" => Ok(Self::AwsSecret(name.to_owned())),
            _ => match nearest(kind, &KINDS) {
                Some(known) => Err(Mistake::new(
                    "the reference to a secret begins with an unknown word (not shown)",
                    format!("did you mean `{known}:…`?"),
                )),
                None => Err(literal()),
            },
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::AwsSecret(name) => write!(f, "aws-secret:{name}"),
        }
    }
}

text_value!(
    SecretRef,
    TextSchema {
        format: "cloakroom-secret-reference",
        pattern: "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|aws-secret:.+)$",
        examples: &[
            "env:BILLING_SECRET",
            "file:/run/secrets/billing",
            "aws-secret:cloakroom/billing"
        ],
    }
);

/// Fails to compile where one of these types can be compared with `==`, which ends at the first byte that differs.
#[cfg(test)]
macro_rules! never_compared {
    ($($type:ty),*) => {$(
        const _: fn() = || {
            trait Found<Which> {
                fn once() {}
            }
            struct Compared;
            impl<T> Found<()> for T {}
            impl<T: PartialEq> Found<Compared> for T {}
            // Ambiguous, and so an error, when both hold.
            <$type as Found<_>>::once();
        };
    )*};
}
#[cfg(test)]
pub(crate) use never_compared;

#[cfg(test)]
mod tests {
    use super::*;

    never_compared!(SecretHash);

    #[test]
    fn a_hash_knows_its_secret_and_shows_nothing() {
        let hash = SecretHash::of(b"open sesame");
        assert!(bool::from(hash.is_of(b"open sesame")));
        for other in ["", "open sesam", "open sesame!", "Open sesame"] {
            assert!(!bool::from(hash.is_of(other.as_bytes())), "{other}");
        }
        assert_eq!(format!("{hash:?}"), "SecretHash(…)");
        let secret = Secret::new("a");
        assert_eq!(secret, Secret::new("a"));
        assert_ne!(secret, Secret::new("b"));
        assert_ne!(secret, Secret::new("aa"));
    }

    #[test]
    fn references_read_back() {
        for text in [
            "env:A_1",
            "env:_a",
            "file:/run/secrets/a b",
            "aws-secret:arn:aws:secretsmanager:eu-west-1:1:secret:x",
        ] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_reference_to_nothing_says_what_is_missing() {
        for (text, said) in [
            ("env:", "is not the name of an environment variable"),
            ("env:1A", "is not the name of an environment variable"),
            ("env:A-B", "is not the name of an environment variable"),
            ("file: ", "nothing follows `file:`"),
            ("aws-secret:", "nothing follows `aws-secret:`"),
            ("fil:/run/secrets/a", "did you mean `file:…`?"),
        ] {
            let mistake = text.parse::<SecretRef>().unwrap_err().to_string();
            assert!(mistake.contains(said), "{text}: {mistake}");
        }
    }

    #[test]
    fn a_literal_secret_is_refused_and_never_shown() {
        for text in [
            "hunter2",
            "whsec_hunter2",
            "env:hunter2-x",
            "evn:hunter2",
            "user:hunter2",
            "env:$hunter2",
            "1hunter2:",
        ] {
            let mistake = text.parse::<SecretRef>().unwrap_err().to_string();
            assert!(!mistake.contains("hunter2"), "{mistake}");
        }
    }
}
