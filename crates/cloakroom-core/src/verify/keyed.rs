//! The generic check: an HMAC, or an Ed25519 signature of the same content, over a template with the body in it.

use std::time::Duration;

use base64::Engine;
use ed25519_dalek::{Signature, StreamVerifier, VerifyingKey};

use super::clock;
use super::mac::{Mac, Tag, any_match, tag_len};
use super::recipe::{HeaderSet, Layout, Part, Recipe, Template, Text};
use super::scheme::{Encoding, SchemeError};
use super::secret::{self, BASE64};
use super::verifier::{Rejection, RequestHead};
use crate::secret::Secret;
use crate::time::Timestamp;

/// More signatures than any rotation needs. Each Ed25519 signature costs a hash of the whole body per key.
const SIGNATURES_MAX: usize = 8;

/// A recipe with its keys.
pub(super) struct Keyed {
    recipe: Recipe,
    template: Template,
    macs: Vec<Mac>,
    public: Vec<VerifyingKey>,
}

/// One request under way.
pub(super) struct KeyedCheck {
    macs: Vec<Mac>,
    received: Vec<Tag>,
    streams: Vec<StreamVerifier>,
    after: Vec<u8>,
}

/// What a signature header holds.
struct Received<'a> {
    tags: Vec<Tag>,
    ed25519: Vec<Signature>,
    timestamp: Option<&'a str>,
}

impl Keyed {
    pub(super) fn new(
        recipe: &Recipe,
        tolerance: Option<Duration>,
        secrets: &[Secret],
    ) -> Result<Self, SchemeError> {
        let mut recipe = recipe.clone();
        recipe.tolerance = recipe.tolerance.map(|preset| tolerance.unwrap_or(preset));
        let template = Template::parse(&recipe.signed)?;
        let asymmetric = matches!(
            recipe.layout,
            Layout::List {
                ed25519: Some(_),
                ..
            }
        );
        let (mut macs, mut public) = (Vec::new(), Vec::new());
        for (index, secret) in secrets.iter().enumerate() {
            match if asymmetric {
                secret::verifying_key(secret, index)?
            } else {
                None
            } {
                Some(key) => public.push(key),
                None => macs.push(Mac::new(
                    recipe.algorithm,
                    &secret::key(secret, recipe.secret, index)?,
                )),
            }
        }
        Ok(Self {
            recipe,
            template,
            macs,
            public,
        })
    }

    /// Whether the request carries this recipe's signature header.
    pub(super) fn is_signed(&self, head: &RequestHead<'_>) -> bool {
        head.headers.get(&self.recipe.headers.signature).is_some()
    }

    pub(super) fn begin(
        &self,
        head: &RequestHead<'_>,
        now: Timestamp,
    ) -> Result<KeyedCheck, Rejection> {
        let names = self.names(head);
        let signature = text(head, &names.signature)?;
        let received = self.read(&names.signature, signature)?;
        let timestamp = match &names.timestamp {
            Some(header) => Some((header, text(head, header)?)),
            None => received.timestamp.map(|text| (&names.signature, text)),
        };
        if let Some(tolerance) = self.recipe.tolerance {
            let (header, text) = timestamp.ok_or_else(|| {
                malformed(&names.signature, "it has no timestamp among its elements")
            })?;
            let signed = clock::parse(text, self.recipe.unit).ok_or_else(|| {
                malformed(
                    header,
                    "its timestamp is not written as the scheme writes it",
                )
            })?;
            clock::check(signed, now, tolerance)?;
        }
        let id = names
            .id
            .as_ref()
            .map(|header| raw(head, header))
            .transpose()?
            .unwrap_or_default();
        let timestamp = timestamp.map(|(_, text)| text).unwrap_or_default();
        let mut check = KeyedCheck {
            macs: self.macs.clone(),
            streams: self.streams(&received.ed25519),
            received: received.tags,
            after: Vec::new(),
        };
        render(&self.template.before, head, id, timestamp, |bytes| {
            check.update(bytes);
        });
        render(&self.template.after, head, id, timestamp, |bytes| {
            check.after.extend_from_slice(bytes);
        });
        Ok(check)
    }

    /// The headers this request uses. The id decides, because it is what a duplicate is recognised by: the id that is
    /// signed must be the one that is used.
    fn names(&self, head: &RequestHead<'_>) -> &HeaderSet {
        let has_id = |names: &HeaderSet| {
            names
                .id
                .as_ref()
                .is_some_and(|id| head.headers.get(id).is_some())
        };
        match &self.recipe.alternate {
            Some(alternate) if !has_id(&self.recipe.headers) && has_id(alternate) => alternate,
            _ => &self.recipe.headers,
        }
    }

    fn read<'a>(&self, header: &Text, value: &'a str) -> Result<Received<'a>, Rejection> {
        let mut received = Received {
            tags: Vec::new(),
            ed25519: Vec::new(),
            timestamp: None,
        };
        let (encoding, len) = (self.recipe.encoding, tag_len(self.recipe.algorithm));
        match &self.recipe.layout {
            Layout::Whole { prefix } => {
                let text = value.strip_prefix(prefix.as_ref()).ok_or_else(|| {
                    malformed(header, "it does not begin as the scheme's signatures do")
                })?;
                received.tags.extend(decode(text, encoding, len));
            }
            Layout::List {
                separator,
                assign,
                element,
                timestamp,
                ed25519,
            } => {
                let pairs = value
                    .split(*separator)
                    .filter_map(|pair| pair.trim().split_once(*assign));
                for (name, text) in pairs {
                    if name == *element {
                        received.tags.extend(decode(text, encoding, len));
                    } else if ed25519.as_ref().is_some_and(|ed25519| name == *ed25519) {
                        let tag = decode(text, encoding, Signature::BYTE_SIZE);
                        received
                            .ed25519
                            .extend(tag.and_then(|tag| Signature::from_slice(tag.as_slice()).ok()));
                    } else if timestamp
                        .as_ref()
                        .is_some_and(|timestamp| name == *timestamp)
                    {
                        received.timestamp.get_or_insert(text);
                    }
                    if received.tags.len() + received.ed25519.len() > SIGNATURES_MAX {
                        return Err(malformed(header, "it has too many signatures"));
                    }
                }
            }
        }
        let usable = (!received.tags.is_empty() && !self.macs.is_empty())
            || (!received.ed25519.is_empty() && !self.public.is_empty());
        if usable {
            Ok(received)
        } else {
            Err(malformed(
                header,
                "it has no signature of the kind and encoding expected",
            ))
        }
    }

    fn streams(&self, signatures: &[Signature]) -> Vec<StreamVerifier> {
        let pairs = self
            .public
            .iter()
            .flat_map(|key| signatures.iter().map(move |signature| (key, signature)));
        pairs
            .filter_map(|(key, signature)| key.verify_stream(signature).ok())
            .collect()
    }
}

impl KeyedCheck {
    pub(super) fn update(&mut self, chunk: &[u8]) {
        for mac in &mut self.macs {
            mac.update(chunk);
        }
        for stream in &mut self.streams {
            stream.update(chunk);
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Rejection> {
        let after = std::mem::take(&mut self.after);
        self.update(&after);
        let mut matched = any_match(self.macs.into_iter().map(Mac::finish), &self.received);
        for stream in self.streams {
            matched |= subtle::Choice::from(u8::from(stream.finalize_and_verify().is_ok()));
        }
        if bool::from(matched) {
            Ok(())
        } else {
            Err(Rejection::SignatureMismatch)
        }
    }
}

#[cfg(test)]
impl KeyedCheck {
    pub(super) fn held_bytes(&self) -> usize {
        size_of_val(self.macs.as_slice())
            + size_of_val(self.streams.as_slice())
            + self.after.capacity()
    }
}

/// Feeds the parts of one side of the body.
pub(super) fn render(
    parts: &[Part],
    head: &RequestHead<'_>,
    id: &[u8],
    timestamp: &str,
    mut to: impl FnMut(&[u8]),
) {
    for part in parts {
        to(match part {
            Part::Literal(text) => text.as_bytes(),
            Part::Method => head.method.as_bytes(),
            Part::Url => head.url.as_bytes(),
            Part::Id => id,
            Part::Timestamp => timestamp.as_bytes(),
        });
    }
}

/// What a sender wrote as a signature; `None` when it is no signature of `len` bytes.
pub(super) fn decode(text: &str, encoding: Encoding, len: usize) -> Option<Tag> {
    // Two more than the longest signature: the decoder wants room for whole groups of three.
    let mut bytes = [0; 66];
    let actual = match encoding {
        Encoding::Hex => {
            hex::decode_to_slice(text, bytes.get_mut(..len)?).ok()?;
            len
        }
        Encoding::Base64 => BASE64.decode_slice(text, &mut bytes).ok()?,
    };
    Tag::read(&bytes[..actual]).filter(|_| actual == len)
}

/// The bytes of a header that must be there.
pub(super) fn raw<'a>(head: &RequestHead<'a>, header: &Text) -> Result<&'a [u8], Rejection> {
    let value = head
        .headers
        .get(header)
        .map(<[u8]>::trim_ascii)
        .filter(|value| !value.is_empty());
    value.ok_or_else(|| Rejection::MissingHeader {
        header: header.clone(),
    })
}

/// The text of a header that must be there.
pub(super) fn text<'a>(head: &RequestHead<'a>, header: &Text) -> Result<&'a str, Rejection> {
    std::str::from_utf8(raw(head, header)?).map_err(|_| malformed(header, "it is not text"))
}

pub(super) fn malformed(header: &Text, reason: &'static str) -> Rejection {
    Rejection::MalformedHeader {
        header: header.clone(),
        reason,
    }
}
