//! What IAM policies say: which statements there are, and whether they allow an action.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::access::Access;
use super::condition::Condition;

/// Why a policy document cannot be enforced. What is not understood is never taken for allowed, nor for harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct PolicyError {
    /// Where in the documents.
    pub place: String,
    /// What is wrong, or what the gatekeeper does not know.
    pub reason: String,
}

/// A text with `*` for anything and `?` for any one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) String);

impl Pattern {
    /// Whether it stands for the whole of `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) =
            (self.0.chars().collect(), text.chars().collect());
        let (mut at, mut read) = (0, 0);
        // The last `*`, and how much of the text it stands for so far.
        let mut star: Option<(usize, usize)> = None;
        while read < text.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == text[read] => {
                    at += 1;
                    read += 1;
                }
                _ => match star {
                    Some((place, taken)) => {
                        star = Some((place, taken + 1));
                        at = place + 1;
                        read = taken + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|&rest| rest == '*')
    }
}

/// Which document a statement stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A role's: what it allows counts.
    Identity,
    /// A bucket's or a queue's: only what it denies counts, since the role needs its own policy's leave in any case.
    Resource,
}

#[derive(Debug, Clone)]
struct Statement {
    place: String,
    denies: bool,
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<Condition>,
}

/// What a role may do: the statements of its own policies, and what the policies of resources deny it.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    statements: Vec<Statement>,
    places: BTreeSet<(usize, usize, usize)>,
}

/// One pair of an action and a resource, as a policy allows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Where it is allowed.
    pub place: String,
    /// The action, perhaps with wildcards.
    pub action: String,
    /// The resource, perhaps with wildcards.
    pub resource: String,
}

impl Policy {
    /// Nothing is allowed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a policy of the role itself. `name` is for messages.
    ///
    /// # Errors
    /// Names what the document says that the gatekeeper does not understand.
    pub fn and(self, name: &str, document: &str) -> Result<Self, PolicyError> {
        self.with(name, document, Kind::Identity)
    }

    /// Adds the policy of a resource that the role uses: what it denies.
    ///
    /// # Errors
    /// Names what the document says that the gatekeeper does not understand.
    pub fn guarded_by(self, name: &str, document: &str) -> Result<Self, PolicyError> {
        self.with(name, document, Kind::Resource)
    }

    /// Every pair that is allowed.
    pub fn grants(&self) -> BTreeSet<Grant> {
        let places = self.places.iter();
        places.map(|place| self.grant(*place)).collect()
    }

    /// Every pair that is allowed and that no call of [`decide`](Self::decide) needed so far, given what they needed.
    pub(super) fn unused(&self, used: &BTreeSet<(usize, usize, usize)>) -> BTreeSet<Grant> {
        let left = self.places.difference(used);
        left.map(|place| self.grant(*place)).collect()
    }

    /// The places of the pairs that allow this, or why it is denied.
    pub(super) fn decide(
        &self,
        access: &Access,
    ) -> Result<BTreeSet<(usize, usize, usize)>, String> {
        let mut allowed = BTreeSet::new();
        for (index, statement) in self.statements.iter().enumerate() {
            let pairs = statement.pairs(access);
            if pairs.is_empty() || !statement.conditions.iter().all(|one| one.holds(access)) {
                continue;
            }
            if statement.denies {
                return Err(format!("with an explicit deny in {}", statement.place));
            }
            allowed.extend(pairs.into_iter().map(|(one, other)| (index, one, other)));
        }
        if allowed.is_empty() {
            let action = &access.action;
            return Err(format!(
                "because no identity-based policy allows the {action} action"
            ));
        }
        Ok(allowed)
    }

    fn grant(&self, (statement, action, resource): (usize, usize, usize)) -> Grant {
        let statement = &self.statements[statement];
        Grant {
            place: statement.place.clone(),
            action: statement.actions[action].0.clone(),
            resource: statement.resources[resource].0.clone(),
        }
    }

    fn with(mut self, name: &str, document: &str, kind: Kind) -> Result<Self, PolicyError> {
        let wrong = |reason: String| PolicyError {
            place: name.to_owned(),
            reason,
        };
        let document: Value = serde_json::from_str(document)
            .map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        if document["Version"] != "2012-10-17" {
            return Err(wrong("its Version is not 2012-10-17".to_owned()));
        }
        let statements = match &document["Statement"] {
            Value::Array(all) => all.as_slice(),
            one @ Value::Object(_) => std::slice::from_ref(one),
            _ => return Err(wrong("it has no Statement".to_owned())),
        };
        for (number, statement) in statements.iter().enumerate() {
            let sid = statement["Sid"].as_str();
            let sid = sid.map_or_else(|| format!("[{number}]"), |sid| format!(" {sid}"));
            let place = format!("{name}{sid}");
            let object = statement.as_object().cloned().unwrap_or_default();
            let read = Statement::read(place.clone(), object, kind);
            if let Some(read) = read.map_err(|reason| PolicyError { place, reason })? {
                self.add(read);
            }
        }
        Ok(self)
    }

    fn add(&mut self, statement: Statement) {
        let index = self.statements.len();
        if !statement.denies {
            for action in 0..statement.actions.len() {
                let pairs = 0..statement.resources.len();
                self.places
                    .extend(pairs.map(|resource| (index, action, resource)));
            }
        }
        self.statements.push(statement);
    }
}

impl Statement {
    /// `None` for what need not be looked at: a resource's policy that allows something.
    fn read(
        place: String,
        mut object: Map<String, Value>,
        kind: Kind,
    ) -> Result<Option<Self>, String> {
        let denies = match object.remove("Effect").as_ref().and_then(Value::as_str) {
            Some("Allow") if kind == Kind::Resource => return Ok(None),
            Some("Allow") => false,
            Some("Deny") => true,
            other => return Err(format!("the Effect {other:?} is unknown")),
        };
        let actions = texts(object.remove("Action"), "Action")?;
        let resources = texts(object.remove("Resource"), "Resource")?;
        let mut conditions = Vec::new();
        if let Some(Value::Object(block)) = object.remove("Condition") {
            for (operator, keys) in block {
                let Value::Object(keys) = keys else {
                    return Err(format!("the condition {operator} has no keys"));
                };
                for (key, values) in keys {
                    let values = texts(Some(values), &key)?;
                    conditions.push(Condition::new(&operator, &key, values)?);
                }
            }
        }
        object.remove("Sid");
        if kind == Kind::Resource {
            let everybody = [Value::from("*"), serde_json::json!({"AWS": "*"})];
            let principal = object.remove("Principal").unwrap_or_default();
            if !everybody.contains(&principal) {
                return Err(format!("the Principal {principal} is not known here"));
            }
        }
        if let Some((key, _)) = object.iter().next() {
            return Err(format!("{key} is not known here"));
        }
        Ok(Some(Self {
            place,
            denies,
            actions: actions.into_iter().map(Pattern).collect(),
            resources: resources.into_iter().map(Pattern).collect(),
            conditions,
        }))
    }

    /// Which of its actions and resources stand for this one's.
    fn pairs(&self, access: &Access) -> Vec<(usize, usize)> {
        let action = access.action.to_ascii_lowercase();
        let is_action = |pattern: &&(usize, &Pattern)| {
            Pattern(pattern.1.0.to_ascii_lowercase()).matches(&action)
        };
        let is_resource = |pattern: &&(usize, &Pattern)| pattern.1.matches(&access.resource);
        let actions: Vec<_> = self.actions.iter().enumerate().collect();
        let resources: Vec<_> = self.resources.iter().enumerate().collect();
        let mut pairs = Vec::new();
        for (action, _) in actions.iter().filter(is_action) {
            let hits = resources.iter().filter(is_resource);
            pairs.extend(hits.map(|(resource, _)| (*action, *resource)));
        }
        pairs
    }
}

/// A text, or a list of them, which is not empty.
fn texts(value: Option<Value>, what: &str) -> Result<Vec<String>, String> {
    let values = match value {
        Some(Value::Array(all)) => all,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let texts: Vec<String> = values
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Ok(text),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            other => Err(format!("{what} is {other}, which is no text")),
        })
        .collect::<Result<_, _>>()?;
    if texts.is_empty() {
        return Err(format!("it has no {what}"));
    }
    match texts.iter().find(|text| text.contains("${")) {
        Some(text) => Err(format!("the policy variable in {text:?} is not known here")),
        None => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(statements: &Value) -> Policy {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        Policy::none().and("p", &document.to_string()).unwrap()
    }

    fn refused(document: &Value) -> String {
        let read = Policy::none().and("p", &document.to_string());
        read.unwrap_err().to_string()
    }

    #[test]
    fn patterns_stand_for_whole_texts() {
        for (pattern, text, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*b*b", "abab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/c/0/x", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
            ("arn:aws:s3:::b/**", "arn:aws:s3:::b/", true),
        ] {
            let found = Pattern(pattern.to_owned()).matches(text);
            assert_eq!(found, matches, "{pattern} {text}");
        }
    }

    #[test]
    fn an_explicit_deny_wins_and_silence_denies() {
        let policy = policy(&json!([
            {"Effect": "Allow", "Action": ["sqs:SendMessage", "SQS:Delete*"], "Resource": "arn:q"},
            {"Effect": "Deny", "Action": "sqs:DeleteQueue", "Resource": "*", "Sid": "Keep"},
        ]));
        for (action, resource, why) in [
            ("sqs:SendMessage", "arn:q", None),
            ("sqs:DeleteMessage", "arn:q", None),
            ("sqs:SendMessage", "arn:Q", Some("no identity-based policy")),
            (
                "sqs:ReceiveMessage",
                "arn:q",
                Some("no identity-based policy"),
            ),
            ("sqs:DeleteQueue", "arn:q", Some("explicit deny in p Keep")),
        ] {
            let decided = policy.decide(&Access::new(action, resource)).err();
            match (&decided, why) {
                (None, None) => {}
                (Some(text), Some(part)) => assert!(text.contains(part), "{action}: {text}"),
                _ => panic!("{action} on {resource}: {decided:?}"),
            }
        }
    }

    #[test]
    fn every_pair_is_unused_until_it_was_needed() {
        let policy = policy(&json!({
            "Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"],
            "Resource": ["arn:aws:s3:::b/c/*", "arn:aws:s3:::b/m/*"],
        }));
        assert_eq!(policy.grants().len(), 4);
        let put = Access::new("s3:PutObject", "arn:aws:s3:::b/c/1");
        let used = policy.decide(&put).unwrap();
        let left = policy.unused(&used);
        assert_eq!(left.len(), 3);
        let left: Vec<String> = left
            .into_iter()
            .map(|one| format!("{} {}", one.action, one.resource))
            .collect();
        assert_eq!(
            left,
            [
                "s3:GetObject arn:aws:s3:::b/c/*",
                "s3:GetObject arn:aws:s3:::b/m/*",
                "s3:PutObject arn:aws:s3:::b/m/*"
            ]
        );
    }

    #[test]
    fn the_policy_of_a_resource_can_only_deny() {
        let bucket = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:x"}, "Action": "s3:*", "Resource": "*"},
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
             "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:DeleteObject", "Resource": "*"},
        ]});
        let policy = policy(
            &json!({"Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObject"], "Resource": "*"}),
        );
        let policy = policy.guarded_by("bucket", &bucket.to_string()).unwrap();
        let decided = |action| policy.decide(&Access::new(action, "arn:aws:s3:::b/x"));
        assert!(decided("s3:GetObject").is_ok());
        assert!(
            decided("s3:DeleteObject")
                .unwrap_err()
                .contains("explicit deny")
        );
        assert!(decided("s3:PutObject").is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let statement =
            |statement: &Value| json!({"Version": "2012-10-17", "Statement": statement});
        for (document, part) in [
            (json!({"Statement": []}), "Version"),
            (json!({"Version": "2012-10-17"}), "Statement"),
            (
                statement(&json!({"Effect": "allow", "Action": "a:B", "Resource": "*"})),
                "Effect",
            ),
            (
                statement(&json!({"Effect": "Allow", "NotAction": "a:B", "Resource": "*"})),
                "no Action",
            ),
            (
                statement(
                    &json!({"Effect": "Allow", "Action": "a:B", "Resource": "*", "NotResource": "x"}),
                ),
                "NotResource",
            ),
            (
                statement(
                    &json!({"Effect": "Allow", "Action": "a:B", "Resource": "arn:${aws:username}"}),
                ),
                "policy variable",
            ),
            (
                statement(&json!({"Effect": "Allow", "Action": "a:B", "Resource": "*",
                    "Condition": {"StringEquals": {"aws:SourceIp": "1.2.3.4"}}})),
                "aws:SourceIp",
            ),
        ] {
            let error = refused(&document);
            assert!(error.contains(part), "{document}: {error}");
        }
    }
}
