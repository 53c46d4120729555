//! Keyed hashes: prepared once per secret, cloned for every request, so that the key schedule is paid once.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::scheme::Algorithm;

/// An HMAC under way.
#[derive(Clone)]
pub(super) enum Mac {
    /// HMAC-SHA1.
    Sha1(Hmac<Sha1>),
    /// HMAC-SHA256.
    Sha256(Hmac<Sha256>),
    /// HMAC-SHA512; boxed, because its state is far larger than the others'.
    Sha512(Box<Hmac<Sha512>>),
}

impl Mac {
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        const ANY_LENGTH: &str = "an HMAC takes a key of any length";
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY_LENGTH)),
            Algorithm::Sha512 => {
                Self::Sha512(Box::new(Hmac::new_from_slice(key).expect(ANY_LENGTH)))
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Tag {
        match self {
            Self::Sha1(mac) => Tag::new(&mac.finalize().into_bytes()),
            Self::Sha256(mac) => Tag::new(&mac.finalize().into_bytes()),
            Self::Sha512(mac) => Tag::new(&mac.finalize().into_bytes()),
        }
    }
}

/// How many bytes the algorithm's signatures have.
pub(super) const fn tag_len(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
        Algorithm::Sha512 => 64,
    }
}

/// What an HMAC came to, or what a sender says it came to: at most 64 bytes, kept off the heap.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    bytes: [u8; Tag::MAX],
    len: usize,
}

impl Tag {
    const MAX: usize = 64;

    /// # Panics
    /// When given more bytes than SHA-512 has; see [`Tag::read`] for what a sender wrote.
    pub(super) fn new(from: &[u8]) -> Self {
        Self::read(from).expect("a digest has at most 64 bytes")
    }

    /// `None` when it is longer than any signature.
    pub(super) fn read(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self {
            bytes,
            len: from.len(),
        })
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Compares in a time that depends on the lengths only.
    pub(super) fn matches(&self, other: &Self) -> Choice {
        self.as_slice().ct_eq(other.as_slice())
    }
}

/// Compares every computed tag with every received one, all of them, whatever the first ones say.
pub(super) fn any_match(computed: impl IntoIterator<Item = Tag>, received: &[Tag]) -> Choice {
    let mut found = Choice::from(0);
    for tag in computed {
        for candidate in received {
            found |= tag.matches(candidate);
        }
    }
    found
}

#[cfg(test)]
crate::secret::never_compared!(Tag);
