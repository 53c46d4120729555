//! A payload is what was accepted, by its hash, whatever the store says.

use std::ops::Range;

use bytes::Bytes;
use cloakroom_core::event::{Payload, Sha256};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::Digest as _;

use crate::ports::{ClaimError, LedgerError, PayloadStream};
use crate::shared::{Shared, StoreError};

/// What is said of a payload that is another than was accepted.
pub(crate) fn differs(payload: &Payload) -> ClaimError {
    let claim = payload.claim.as_ref();
    let place = claim.map_or_else(
        || "a payload in the ledger".to_owned(),
        |claim| format!("claim {}", claim.0),
    );
    ClaimError::Corrupt(format!("{place} does not hold what was accepted"))
}

struct Checking {
    read: PayloadStream,
    payload: Payload,
    hash: sha2::Sha256,
    /// Hashed, and not handed out yet.
    held: Option<Bytes>,
}

impl Checking {
    /// The next piece, when one behind it was read; the last one when the hash of all holds.
    async fn next(&mut self) -> Result<Option<Bytes>, ClaimError> {
        loop {
            match self.read.try_next().await? {
                Some(piece) => {
                    self.hash.update(&piece);
                    if let Some(before) = self.held.replace(piece) {
                        return Ok(Some(before));
                    }
                }
                None => {
                    let hash = std::mem::take(&mut self.hash);
                    if Sha256(hash.finalize().into()) != self.payload.sha256 {
                        return Err(differs(&self.payload));
                    }
                    return Ok(self.held.take());
                }
            }
        }
    }
}

/// The same stream, whose last piece comes only when all of them are what was accepted. So what is small comes whole or not at
/// all, and what is large breaks off before its end.
pub(crate) fn checked(read: PayloadStream, payload: Payload) -> PayloadStream {
    let checking = Checking {
        read,
        payload,
        hash: sha2::Sha256::new(),
        held: None,
    };
    let pieces = stream::unfold(Some((checking, false)), |state| async {
        let (mut checking, ended) = state?;
        if ended {
            return None;
        }
        match checking.next().await {
            Ok(Some(piece)) => {
                let ended = checking.held.is_none();
                Some((Ok(piece), Some((checking, ended))))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    pieces.boxed()
}

impl Shared {
    /// See [`crate::Engine::read_payload`].
    pub(crate) async fn read_payload(
        &self,
        payload: &Payload,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, StoreError> {
        match (&payload.claim, &payload.inline) {
            (Some(claim), _) => {
                let is_whole = range.is_none();
                let read = self.claims.read(claim, range).await?;
                // A part cannot be told from its hash: what was written is checked by the store.
                Ok(match is_whole {
                    true => checked(read, payload.clone()),
                    false => read,
                })
            }
            (None, Some(inline)) => {
                if Sha256::of(inline) != payload.sha256 {
                    return Err(differs(payload).into());
                }
                let part = slice(inline, range);
                Ok(Box::pin(stream::iter([Ok(part)])))
            }
            (None, None) => {
                let text = "a ledger entry has neither its payload nor a claim";
                Err(LedgerError::Corrupt(text.to_owned()).into())
            }
        }
    }
}

fn slice(bytes: &Bytes, range: Option<Range<u64>>) -> Bytes {
    let Some(range) = range else {
        return bytes.clone();
    };
    let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clip(range.start)..clip(range.end).max(clip(range.start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload_of(bytes: &[u8]) -> Payload {
        Payload {
            sha256: Sha256::of(bytes),
            ..crate::conformance::samples::payload("x", None)
        }
    }

    async fn read(pieces: &[&'static [u8]], accepted: &[u8]) -> (Vec<u8>, bool) {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|one| Ok(Bytes::from_static(one)))
            .collect();
        let mut read = checked(stream::iter(pieces).boxed(), payload_of(accepted));
        let mut got = Vec::new();
        loop {
            match read.try_next().await {
                Ok(Some(piece)) => got.extend_from_slice(&piece),
                Ok(None) => return (got, true),
                Err(error) => {
                    assert!(matches!(error, ClaimError::Corrupt(_)));
                    return (got, false);
                }
            }
        }
    }

    #[tokio::test]
    async fn the_last_piece_comes_only_when_all_is_what_was_accepted() {
        assert_eq!(
            read(&[b"ab", b"cd"], b"abcd").await,
            (b"abcd".to_vec(), true)
        );
        assert_eq!(read(&[b"abcd"], b"abcd").await, (b"abcd".to_vec(), true));
        assert_eq!(read(&[], b"").await, (Vec::new(), true));
        assert_eq!(read(&[b"abcd"], b"abcx").await, (Vec::new(), false));
        assert_eq!(
            read(&[b"ab", b"cd"], b"abcx").await,
            (b"ab".to_vec(), false)
        );
        assert_eq!(read(&[b"ab"], b"abcd").await, (Vec::new(), false));
        assert_eq!(read(&[], b"abcd").await, (Vec::new(), false));
    }
}
