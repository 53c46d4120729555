//! Conditions of policy statements, as far as Cloakroom's policies may use them.

use super::access::Access;
use super::policy::Pattern;

/// The keys that a request's context may hold here; see [`Access::context`].
const KEYS: [&str; 8] = [
    "aws:PrincipalArn",
    "aws:ResourceAccount",
    "aws:SecureTransport",
    "dynamodb:EnclosingOperation",
    "s3:TlsVersion",
    "s3:delimiter",
    "s3:prefix",
    "secretsmanager:VersionStage",
];

/// How the values of a key are compared with those of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    Like,
    LessThan,
    Missing,
}

/// Which values of a request's key have to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The one there is.
    One,
    /// `ForAnyValue:`
    Any,
    /// `ForAllValues:`
    All,
}

/// One operator with one key.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    of: Of,
    test: Test,
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<Pattern>,
}

impl Condition {
    /// Reads it. What is not known is an error: it must not be taken for fulfilled, nor for unfulfilled.
    pub(super) fn new(operator: &str, key: &str, values: Vec<String>) -> Result<Self, String> {
        let (of, name) = match operator.split_once(':') {
            None => (Of::One, operator),
            Some(("ForAnyValue", name)) => (Of::Any, name),
            Some(("ForAllValues", name)) => (Of::All, name),
            Some((other, _)) => return Err(format!("the qualifier {other} is not known here")),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (test, negated) = match name {
            "StringEquals" | "Bool" | "NumericEquals" => (Test::Equal, false),
            "StringNotEquals" | "NumericNotEquals" => (Test::Equal, true),
            // Both treat wildcards alike.
            "StringLike" | "ArnLike" | "ArnEquals" => (Test::Like, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Test::Like, true),
            "NumericLessThan" => (Test::LessThan, false),
            "Null" => (Test::Missing, false),
            _ => return Err(format!("the condition {operator} is not known here")),
        };
        if !KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            return Err(format!("the condition key {key} is not known here"));
        }
        Ok(Self {
            of,
            test,
            negated,
            if_exists,
            key: key.to_owned(),
            values: values.into_iter().map(Pattern).collect(),
        })
    }

    /// Whether it holds for this request.
    pub(super) fn holds(&self, access: &Access) -> bool {
        let found = access.context(&self.key);
        if self.test == Test::Missing {
            let missing = found.is_empty().to_string();
            return self.values.iter().any(|wanted| wanted.0 == missing);
        }
        // A key that is not there fits nothing, so it does not fit what must not be, either.
        if found.is_empty() {
            return match self.of {
                Of::One => self.if_exists || self.negated,
                Of::Any => false,
                Of::All => true,
            };
        }
        let mut fits = found.iter().map(|value| self.is_one(value) != self.negated);
        match self.of {
            Of::Any => fits.any(|fits| fits),
            Of::One | Of::All => fits.all(|fits| fits),
        }
    }

    fn is_one(&self, value: &str) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        self.values.iter().any(|wanted| match self.test {
            Test::Equal => wanted.0 == value,
            Test::Like => wanted.matches(value),
            Test::LessThan => number(value)
                .zip(number(&wanted.0))
                .is_some_and(|(value, wanted)| value < wanted),
            Test::Missing => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, key: &str, values: &[&str], context: &[(&str, &str)]) -> bool {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let condition = Condition::new(operator, key, values).unwrap();
        let access = context.iter().fold(
            Access::new("s3:ListBucket", "arn"),
            |access, (key, value)| access.with(key, value),
        );
        condition.holds(&access)
    }

    #[test]
    fn operators_compare_with_what_the_request_has() {
        let staging = [("s3:prefix", "staging/a")];
        let twice = [("s3:prefix", "a"), ("s3:prefix", "b")];
        for (operator, values, context, expected) in [
            ("StringEquals", &["staging/a"][..], &staging[..], true),
            ("StringEquals", &["staging/*"], &staging, false),
            ("StringLike", &["c/*", "staging/*"], &staging, true),
            ("StringNotLike", &["c/*", "staging/*"], &staging, false),
            ("StringNotEquals", &["c", "d"], &staging, true),
            // What the request does not have.
            ("StringLike", &["*"], &[], false),
            ("StringLikeIfExists", &["c/*"], &[], true),
            ("StringLikeIfExists", &["c/*"], &staging, false),
            ("StringNotLike", &["c/*"], &[], true),
            ("Null", &["true"], &[], true),
            ("Null", &["false"], &[], false),
            ("Null", &["false"], &staging, true),
            // Many values.
            ("ForAnyValue:StringEquals", &["b"], &twice, true),
            ("ForAllValues:StringEquals", &["b"], &twice, false),
            ("ForAllValues:StringEquals", &["a", "b", "c"], &twice, true),
            ("ForAllValues:StringEquals", &["c"], &[], true),
            ("ForAnyValue:StringEquals", &["c"], &[], false),
        ] {
            let found = holds(operator, "s3:prefix", values, context);
            assert_eq!(found, expected, "{operator} {values:?} {context:?}");
        }
    }

    #[test]
    fn requests_are_taken_for_encrypted_ones() {
        assert!(!holds("Bool", "aws:SecureTransport", &["false"], &[]));
        assert!(holds("Bool", "AWS:SecureTransport", &["true"], &[]));
        assert!(!holds("NumericLessThan", "s3:TlsVersion", &["1.2"], &[]));
        assert!(holds("NumericLessThan", "s3:TlsVersion", &["1.4"], &[]));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let new = |operator, key| Condition::new(operator, key, vec!["x".to_owned()]).err();
        assert!(new("IpAddress", "s3:prefix").is_some());
        assert!(new("ForSomeValues:StringLike", "s3:prefix").is_some());
        assert!(new("StringLike", "dynamodb:LeadingKeys").is_some());
        assert!(new("StringLike", "s3:prefix").is_none());
    }
}
