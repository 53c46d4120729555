//! Providers: what they send, how they sign it, and what somebody sends who only pretends to be one.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::event::Sha256;
use cloakroom_core::ordering::Rule;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, sign};

use crate::chance::Chance;
use crate::plan::{KEYS, MORE_KEYS, Plan, WANTED, WANTED_SIDE};
use crate::time::secs;

/// Where webhooks are sent.
pub const URL: &str = "https://cloakroom.example/in";

/// Stands in every payload, and must stand in no line of a log.
pub const PAYLOAD_MARK: &str = "cargo of the simulation";

/// The secrets, by source: base64 after the prefix.
const SECRETS: [(&str, &str); 6] = [
    ("orders", "c2VjcmV0IG9mIG9yZGVycyAwMTIzNDU2Nzg5"),
    ("found", "c2VjcmV0IG9mIGZvdW5kLiAwMTIzNDU2Nzg5"),
    ("held", "c2VjcmV0IG9mIGhlbGQuLiAwMTIzNDU2Nzg5"),
    ("states", "c2VjcmV0IG9mIHN0YXRlcyAwMTIzNDU2Nzg5"),
    ("news", "c2VjcmV0IG9mIG5ld3MuLiAwMTIzNDU2Nzg5"),
    ("nobody", "c2VjcmV0IG9mIG5vYm9keSAwMTIzNDU2Nzg5"),
];

/// How every source is signed.
pub fn scheme() -> Scheme {
    Scheme::new(SchemeName::StandardWebhooks)
}

/// The secret of a source.
pub fn secret(source: &str) -> Secret {
    Secret::new(format!("whsec_{}", secret_text(source)))
}

/// What of secrets must stand in no line of a log.
pub fn secret_texts() -> impl Iterator<Item = &'static str> {
    SECRETS.iter().map(|(_, text)| *text)
}

fn secret_text(source: &str) -> &'static str {
    let found = SECRETS.iter().find(|(name, _)| *name == source);
    found.expect("every source has a secret").1
}

/// What is wrong with a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// Signed with another secret.
    Secret,
    /// The body was changed after it was signed.
    Body,
    /// The signature is missing.
    Unsigned,
    /// It was signed long ago.
    Old,
}

/// A webhook as a provider sends it.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// To which source.
    pub source: &'static str,
    /// The provider's id of the event.
    pub id: String,
    /// The ordering key.
    pub key: Option<&'static str>,
    /// The order field.
    pub seq: Option<String>,
    /// The event's type.
    pub kind: &'static str,
    /// The body.
    pub body: Body,
    /// What is wrong with it.
    pub forged: Option<Forgery>,
    /// Whether no stream can take its number.
    pub implausible: bool,
}

/// The bytes of a body, which the history shows by their hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(pub Bytes);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes {}", self.0.len(), self.sha256())
    }
}

impl Body {
    /// Whether [`WANTED_SIDE`] stands in it.
    pub fn has_side(&self) -> bool {
        let text = String::from_utf8_lossy(&self.0);
        text.contains(&format!("\"side\":\"{WANTED_SIDE}\""))
    }

    /// Their hash.
    pub fn sha256(&self) -> Sha256 {
        Sha256::of(&self.0)
    }
}

impl Webhook {
    /// The headers of a request that carries it, sent at `now`.
    pub fn headers(&self, now: Timestamp) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-type".to_owned(), self.kind.to_owned()),
        ];
        headers.extend(self.key.map(|key| ("x-key".to_owned(), key.to_owned())));
        headers.extend(self.seq.clone().map(|seq| ("x-seq".to_owned(), seq)));
        let (key, at) = match self.forged {
            Some(Forgery::Secret) => ("nobody", now),
            Some(Forgery::Old) => (self.source, now.before(secs(3_600))),
            _ => (self.source, now),
        };
        let signed: &[u8] = match self.forged {
            Some(Forgery::Body) => b"{}",
            _ => &self.body.0,
        };
        let head = RequestHead {
            method: "POST",
            url: URL,
            headers: &headers,
        };
        let signature = sign(&scheme(), &secret(key), &head, &self.id, at, signed);
        let signature = signature.expect("the secret is of its scheme");
        let unsigned = self.forged == Some(Forgery::Unsigned);
        let kept = |(name, _): &(String, String)| !unsigned || name != "webhook-signature";
        headers.extend(signature.into_iter().filter(kept));
        headers
    }
}

/// The keys of streams that begin in a special way.
const BEGINNINGS: [&str; 4] = ["P", "Q", "R", "S"];

/// All providers together.
#[derive(Debug, Default)]
pub struct Providers {
    sent: Vec<Arc<Webhook>>,
    next: HashMap<(&'static str, &'static str), u64>,
    bodies: u64,
    /// How many streams of [`BEGINNINGS`] there are.
    begun: usize,
}

impl Providers {
    /// A webhook: new, ahead, again, clashing, without a place, or forged.
    pub fn webhook(&mut self, chance: &Chance, plan: &Plan) -> Arc<Webhook> {
        if !self.sent.is_empty() && chance.percent(15) {
            let again = Arc::clone(&self.sent[chance.index(self.sent.len())]);
            if !chance.percent(15) {
                return again;
            }
            // The same event with another body; or somebody who has seen it and tries to change it.
            let body = self.body(chance, false);
            let forged = chance.percent(50).then(|| forgery(chance));
            let other = Webhook {
                body,
                forged,
                ..Webhook::clone(&again)
            };
            return Arc::new(other);
        }
        let source = &plan.sources[chance.index(plan.sources.len())];
        // Where a stream begins is decided once in its life: that needs many short ones.
        let begins = source.name == "found";
        let key = chance.pick(if begins { &MORE_KEYS } else { &KEYS });
        let next = self.next.entry((source.name, key)).or_insert(1);
        // Mostly the next number; sometimes one ahead, so that it comes before the ones between; sometimes an old one.
        let n = match chance.below(12) {
            0 | 1 => *next + chance.below(4),
            2 => chance.below(*next + 1),
            3..8 if begins => 1 + chance.below(4),
            3 if chance.percent(20) => *next + 4 + chance.below(150),
            _ => *next,
        };
        *next = (*next).max(n + 1);
        let mut webhook = Webhook {
            source: source.name,
            id: format!("{}-{key}-{n}", source.name),
            key: Some(key),
            seq: Some(n.to_string()),
            kind: chance.pick(&[WANTED, WANTED, "order.noticed"]),
            body: self.body(chance, chance.percent(4)),
            forged: None,
            implausible: false,
        };
        self.distort(
            &mut webhook,
            chance,
            matches!(source.rule, Rule::Dense { .. }),
        );
        let webhook = Arc::new(webhook);
        if webhook.forged.is_none() {
            self.sent.push(Arc::clone(&webhook));
        }
        webhook
    }

    /// The webhooks of a new stream that begins at the lowest number it finds, the highest first; none when there were
    /// enough of them.
    pub fn beginning(&mut self, chance: &Chance) -> Vec<Arc<Webhook>> {
        let Some(key) = BEGINNINGS.get(self.begun).copied() else {
            return Vec::new();
        };
        self.begun += 1;
        let number = |n: u64| Webhook {
            source: "found",
            id: format!("found-{key}-{n}"),
            key: Some(key),
            seq: Some(n.to_string()),
            kind: WANTED,
            body: self.body(chance, false),
            forged: None,
            implausible: false,
        };
        (1..=6).rev().map(number).map(Arc::new).collect()
    }

    fn distort(&mut self, webhook: &mut Webhook, chance: &Chance, dense: bool) {
        let mut marked = |mark: &str| webhook.id = format!("{}-{mark}", webhook.id);
        match chance.below(60) {
            0 => {
                marked("lost");
                webhook.key = None;
            }
            1 => {
                marked("garbled");
                webhook.seq = Some("soon".to_owned());
            }
            2 | 3 => marked("clash"),
            4 if dense => {
                marked("far");
                webhook.seq = Some("18446744073709551615".to_owned());
                webhook.implausible = true;
            }
            5..9 => {
                marked(&format!("forged{}", self.bodies));
                webhook.forged = Some(forgery(chance));
            }
            _ => {}
        }
    }

    /// Bodies differ, and none is written as a serialiser would write it.
    fn body(&mut self, chance: &Chance, large: bool) -> Body {
        self.bodies += 1;
        let padding = match large {
            true => "x".repeat(70_000),
            false => "x".repeat(chance.index(60)),
        };
        let side = chance.pick(&[WANTED_SIDE, "right"]);
        let text = format!(
            "{{ \"n\" : {}.0, \"side\":\"{side}\", \"what\":\"{PAYLOAD_MARK}\",\n \"p\":\"{padding}\" }}",
            self.bodies
        );
        Body(text.into())
    }
}

fn forgery(chance: &Chance) -> Forgery {
    chance.pick(&[
        Forgery::Secret,
        Forgery::Body,
        Forgery::Unsigned,
        Forgery::Old,
    ])
}
