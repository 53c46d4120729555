//! Claims in an S3 bucket.
//!
//! # Objects
//!
//! | key, below the prefix | what it is |
//! | --- | --- |
//! | `c/{shard}/{hour}/{fingerprint}` | a claim that was one `PutObject`; its hint is in the object's metadata |
//! | `m/{shard}/{hour}/{id}` | a claim that was a multipart upload |
//! | `h/…` | the hint of the object whose key follows, where metadata cannot hold it |
//! | `staging/{source}/{id}` | no claim: what a provider uploaded and nobody has verified yet |
//!
//! `shard` is one hexadecimal digit, so that S3 can spread the load however many are written in an hour; `hour`
//! (`2026-11-22T04`) is when the webhook was accepted (when its upload began, under `m/`), so that reclaiming lists what
//! is old enough and nothing else.
//!
//! # Why a name is never given to other bytes
//!
//! **`c/`.** The fingerprint is a hash of source, identity and payload hash: a provider's retry writes the same object
//! again, and `If-None-Match: *` keeps it from being written twice. S3 checks the payload against the SHA-256 that the
//! signature was checked for. A 412 is success only when the standing object is proven to have that hash and size and the
//! same hint, and is younger than half the age at which unreferenced claims are removed; otherwise the payload is stored
//! under a random fingerprint. The claim's *name* also holds a nonce that is stored with the object: a name that was
//! deleted does not come back when the same webhook is stored once more, so that a late deletion cannot meet the new
//! object.
//!
//! **`m/`.** The id is random, and only the one process that began the upload knows it. S3 shows nothing under a key
//! until its multipart upload is completed, which is done after the signature has been checked and on condition that the
//! key is free. So an upload needs no staging key and no copy: what is unverified has no object at all, under any name,
//! and completing it *is* the step from unverified to claim. (A copy would cost as many requests again, and for 5 GiB
//! minutes.) What a multipart upload cannot do is to take metadata when it ends, so its hint is an object of its own,
//! written before it is completed: no claim is ever without its hint.
//!
//! # What is left behind
//!
//! A dropped or aborted upload aborts its multipart upload. What a crash leaves is found by `reclaim`: unfinished
//! multipart uploads beyond the orphan age are aborted, hints without an object are removed, and claims that no ledger
//! record names are deleted. A lifecycle rule `AbortIncompleteMultipartUpload` on the bucket is the second net.

mod check;
mod fault;
mod hint;
mod links;
mod name;
mod object;
mod parts;
mod read;
mod reclaim;
mod staging;
mod upload;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use cloakroom_core::event::ClaimName;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{
    ClaimError, ClaimHint, ClaimStore, Clock, Entropy, PayloadStream, Reclaimed, References, Upload,
};

pub use check::CheckError;
pub use links::S3Links;
pub use parts::{OBJECT_MAX, PART_MIN, PARTS_MAX, in_flight, part_size};
pub use staging::S3Uploads;

use name::Name;
use upload::S3Upload;

/// The age at which unreferenced claims are removed, unless told otherwise. The sweeper's bound.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Where claims are kept.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// Stands before every key, e.g. `claims/`; may be empty.
    pub prefix: String,
    /// How old an unreferenced claim is when it may be removed: the sweeper's bound, 24 hours. Unfinished uploads older
    /// than this are aborted.
    pub orphan_age: Duration,
}

impl S3Options {
    /// Everything in this bucket, with the usual bounds.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            orphan_age: ORPHAN_AGE,
        }
    }
}

/// The claim store on S3. Cheap to clone.
#[derive(Clone)]
pub struct S3Claims(Arc<Bucket>);

/// What everything in this module works with.
struct Bucket {
    client: Client,
    options: S3Options,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Bucket {
    /// 128 random bits. Only ever makes names different; nothing is secret about them.
    fn random(&self) -> String {
        name::random_text(self.entropy.next(), self.entropy.next())
    }

    /// The key of an object.
    fn key(&self, path: &str) -> String {
        format!("{}{path}", self.options.prefix)
    }
}

impl S3Claims {
    /// Claims in this bucket. Makes no request; see [`S3Claims::check`].
    pub fn new(
        client: Client,
        options: S3Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self(Arc::new(Bucket {
            client,
            options,
            clock,
            entropy,
        }))
    }
}

#[async_trait]
impl ClaimStore for S3Claims {
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        self.0.put(hint, body).await
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError> {
        Ok(Box::new(S3Upload::new(Arc::clone(&self.0))))
    }

    async fn read(
        &self,
        claim: &ClaimName,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        let name = Name::parse(claim).ok_or_else(|| ClaimError::Missing(claim.clone()))?;
        self.0.read(claim, &name, range).await
    }

    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError> {
        match Name::parse(claim) {
            Some(name) => self.0.delete(&name).await.map(drop),
            None => Ok(()),
        }
    }

    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        self.0.reclaim(after, before, references).await
    }

    fn is_local(&self) -> bool {
        false
    }

    /// The parts on their way, and the one that is being filled.
    fn upload_memory(&self) -> usize {
        let part = usize::try_from(PART_MIN).unwrap_or(usize::MAX);
        (in_flight(PART_MIN) + 1) * part
    }
}
