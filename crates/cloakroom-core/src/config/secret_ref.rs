//! Where a secret is found. The configuration never holds one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::diagnostic::{Mistake, nearest};
use super::text::{TextSchema, text_value};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back() {
        for text in [
            "env:A_1",
            "file:/run/secrets/a b",
            "aws-secret:arn:aws:secretsmanager:eu-west-1:1:secret:x",
        ] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
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
