//! What is computed over a body while it arrives: its signature and its SHA-256.
//!
//! A small body is hashed where it is read. Of a large one the two are computed side by side, on threads that may be busy
//! for long, while the next bytes come in and are written: each takes as long as the disk does. One batch is being hashed
//! while the next one gathers, so a body holds no more than two of them, and no thread while it pauses.

use std::sync::Arc;

use bytes::Bytes;
use cloakroom_core::event::Sha256;
use cloakroom_core::verify::{Rejection, Verification};
use sha2::Digest as _;
use tokio::task::JoinHandle;

use crate::ports::ClaimError;

/// What is hashed elsewhere at a time, in bytes.
const BATCH: usize = 512 * 1024;
/// The most that batches hold in memory: one under way, one gathering, and the chunk that fills it.
pub(super) const MEMORY: usize = 2 * BATCH + 64 * 1024;

/// The digests of one body.
pub(super) struct Digests {
    signature: Lane<Verification>,
    hash: Lane<sha2::Sha256>,
    /// What waits to be hashed elsewhere.
    batch: Vec<Bytes>,
    batch_len: usize,
}

impl Digests {
    pub(super) fn new(verification: Verification) -> Self {
        Self {
            signature: Lane::Here(verification),
            hash: Lane::Here(sha2::Sha256::new()),
            batch: Vec::new(),
            batch_len: 0,
        }
    }

    /// Takes the next bytes of a body that is small so far.
    pub(super) fn update(&mut self, chunk: &[u8]) {
        let (Lane::Here(signature), Lane::Here(hash)) = (&mut self.signature, &mut self.hash)
        else {
            unreachable!("a body that became large stays so");
        };
        signature.update(chunk);
        hash.update(chunk);
    }

    /// Takes the next bytes of a large body.
    pub(super) async fn feed(&mut self, chunk: &Bytes) -> Result<(), ClaimError> {
        self.batch.push(chunk.clone());
        self.batch_len += chunk.len();
        if self.batch_len >= BATCH {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// The body is complete. Says whether it is what was signed, and its hash.
    pub(super) async fn finish(mut self) -> Result<Result<Sha256, Rejection>, ClaimError> {
        if !self.batch.is_empty() {
            self.hand_over().await?;
        }
        let (signature, hash) = (self.signature.wait().await?, self.hash.wait().await?);
        Ok(signature.finish().map(|()| Sha256(hash.finalize().into())))
    }

    async fn hand_over(&mut self) -> Result<(), ClaimError> {
        let batch: Arc<[Bytes]> = std::mem::take(&mut self.batch).into();
        self.batch_len = 0;
        let (signature, hash) = (&mut self.signature, &mut self.hash);
        signature
            .go_on(&batch, |state, chunk| state.update(chunk))
            .await?;
        hash.go_on(&batch, |state, chunk| sha2::Digest::update(state, chunk))
            .await
    }
}

/// One computation, here or on another thread.
enum Lane<T> {
    Here(T),
    Elsewhere(JoinHandle<T>),
    /// It was lost with its thread.
    Lost,
}

impl<T: Send + 'static> Lane<T> {
    /// Hashes a batch elsewhere, once the one before is through.
    async fn go_on(
        &mut self,
        batch: &Arc<[Bytes]>,
        update: fn(&mut T, &[u8]),
    ) -> Result<(), ClaimError> {
        let mut state = self.wait().await?;
        let batch = Arc::clone(batch);
        *self = Self::Elsewhere(tokio::task::spawn_blocking(move || {
            for chunk in batch.iter() {
                update(&mut state, chunk);
            }
            state
        }));
        Ok(())
    }

    async fn wait(&mut self) -> Result<T, ClaimError> {
        let lost = || ClaimError::Unavailable("hashing was interrupted".to_owned());
        match std::mem::replace(self, Self::Lost) {
            Self::Here(state) => Ok(state),
            Self::Elsewhere(running) => running.await.map_err(|_| lost()),
            Self::Lost => Err(lost()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::secret::Secret;
    use cloakroom_core::time::Timestamp;
    use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Verifier, sign};

    use super::*;

    /// The digests of a request that was signed for `body`.
    fn begin(body: &[u8]) -> Digests {
        let (scheme, now) = (Scheme::new(SchemeName::Github), Timestamp::from_secs(0));
        let secret = Secret::new("a secret of the test".to_owned());
        let head = |headers| RequestHead {
            method: "POST",
            url: "http://localhost/in/shop",
            headers,
        };
        let none: Vec<(String, String)> = Vec::new();
        let headers = sign(&scheme, &secret, &head(&none), "1", now, body).unwrap();
        let verifier = Verifier::new(&scheme, &[secret]).unwrap();
        Digests::new(verifier.begin(&head(&headers), now).unwrap())
    }

    async fn digest(body: &[u8], small: usize, chunk: usize) -> Result<Sha256, Rejection> {
        let mut digests = begin(body);
        let (here, elsewhere) = body.split_at(small);
        digests.update(here);
        for chunk in elsewhere.chunks(chunk) {
            digests.feed(&Bytes::copy_from_slice(chunk)).await.unwrap();
            assert!(digests.batch_len < BATCH);
        }
        digests.finish().await.unwrap()
    }

    #[tokio::test]
    async fn a_body_is_hashed_in_order_however_it_is_cut() {
        let bytes = (0_u32..).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
        let body: Vec<u8> = bytes.take(3 * BATCH + 12_345).collect();
        for (small, chunk) in [
            (0, 64 * 1024),
            (64 * 1024, 100_000),
            (1, BATCH),
            (5, 2 * BATCH + 1),
            (body.len(), 1),
        ] {
            let outcome = digest(&body, small, chunk).await;
            assert_eq!(outcome.unwrap(), Sha256::of(&body), "{small} {chunk}");
        }
    }

    #[tokio::test]
    async fn a_body_that_was_not_signed_is_refused_wherever_it_differs() {
        let body = vec![7; 2 * BATCH + 10];
        for at in [0, BATCH, 2 * BATCH + 9] {
            let mut other = body.clone();
            other[at] ^= 1;
            let mut digests = begin(&body);
            digests.feed(&Bytes::from(other)).await.unwrap();
            let outcome = digests.finish().await.unwrap();
            assert_eq!(outcome, Err(Rejection::SignatureMismatch));
        }
    }
}
