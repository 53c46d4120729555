//! Claims that are one object: written whole, and deleted.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::{HeadObjectError, HeadObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimError, ClaimHint};

use super::Bucket;
use super::fault::unavailable;
use super::hint::{self, Label};
use super::name::{self, Name};
use crate::fault::refused;

/// How often a write is tried that met another one under way, or an object that was gone again when it was looked at.
const RACES_MAX: u32 = 5;

/// What a conditional put came to.
enum Written {
    /// The object is there, and was not before.
    New,
    /// Something has that key already.
    Taken,
    /// Somebody else is writing there at this moment.
    Race,
}

/// What stands under a key that was to be written.
enum Standing {
    /// The same payload with the same hint, and it will be there for long: its nonce.
    Same(String),
    /// Anything else.
    Other,
    /// Nothing any more.
    Gone,
}

impl Bucket {
    /// Stores a payload under the key that a retry of its webhook leads to, or under another one where that is taken.
    pub(super) async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        self.put_at(name::derived(hint), hint, body).await
    }

    /// Stores a payload at `path` or, where that is taken by something else, at a place of its own.
    pub(super) async fn put_at(
        &self,
        mut path: String,
        hint: &ClaimHint,
        body: Bytes,
    ) -> Result<ClaimName, ClaimError> {
        let mut nonce = self.random();
        for _ in 0..RACES_MAX {
            match self.write(&path, &nonce, hint, body.clone()).await? {
                Written::New => return Ok(Name::Put { path, nonce }.claim()),
                Written::Race => {}
                Written::Taken => match self.standing(&path, hint).await? {
                    Standing::Same(nonce) => return Ok(Name::Put { path, nonce }.claim()),
                    Standing::Gone => {}
                    Standing::Other => {
                        path = name::unique('c', hint.recorded, &self.random());
                        nonce = self.random();
                    }
                },
            }
        }
        Err(ClaimError::Unavailable(format!(
            "the object `{}` of the bucket `{}` is being written by others all the time; trying again will do",
            self.key(&path),
            self.options.bucket
        )))
    }

    /// One conditional put. S3 checks the bytes against the hash that the signature was checked for.
    async fn write(
        &self,
        path: &str,
        nonce: &str,
        hint: &ClaimHint,
        body: Bytes,
    ) -> Result<Written, ClaimError> {
        let (metadata, fits) = hint::to_metadata(hint, nonce);
        if !fits {
            self.write_hint(path, hint).await?;
        }
        let put = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.key(path))
            .if_none_match("*")
            .checksum_sha256(checksum(&hint.sha256))
            .set_metadata(Some(metadata))
            .body(ByteStream::from(body));
        let Err(error) = put.send().await else {
            return Ok(Written::New);
        };
        let refusal = refused(&error);
        match (refusal.status, refusal.code.as_str()) {
            (Some(412), _) => Ok(Written::Taken),
            (Some(409), _) | (_, "ConditionalRequestConflict") => Ok(Written::Race),
            _ => Err(unavailable(self, "s3:PutObject", &error)),
        }
    }

    /// The hint of the object at `path`, as an object of its own. Written before that object, and again by every try: all
    /// that are written for one place say the same.
    pub(super) async fn write_hint(&self, path: &str, hint: &ClaimHint) -> Result<(), ClaimError> {
        let body = hint::to_json(hint);
        let put = self
            .client
            .put_object()
            .bucket(&self.options.bucket)
            .key(self.key(&name::hint_path(path)))
            .content_type("application/json")
            .checksum_sha256(checksum(&Sha256::of(&body)))
            .body(ByteStream::from(body));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(unavailable(self, "s3:PutObject", &error)),
        }
    }

    /// Looks at what has a key that was to be written.
    async fn standing(&self, path: &str, hint: &ClaimHint) -> Result<Standing, ClaimError> {
        let Some(head) = self.head(path).await? else {
            return Ok(Standing::Gone);
        };
        let Some(label) = label(&head) else {
            return Ok(Standing::Other);
        };
        let same = is_proven(&head, &label, hint) && self.is_young(&head);
        // Whoever asks whether the claim is needed asks with the hint that stands there: it has to lead to the same
        // records.
        let told = match &label.hint {
            Some(told) => Some(told.clone()),
            None if same => self.read_hint(path).await?,
            None => None,
        };
        let leads_here = told.is_some_and(|told| {
            told.source == hint.source && told.identity == hint.identity && told.event == hint.event
        });
        Ok(if same && leads_here {
            Standing::Same(label.nonce)
        } else {
            Standing::Other
        })
    }

    /// Whether nobody will take this object for an orphan before its new ledger entry is written.
    fn is_young(&self, head: &HeadObjectOutput) -> bool {
        let written = head.last_modified().map_or(i64::MIN, |at| at.secs());
        let age = self.clock.now().since(Timestamp::from_secs(written));
        age < self.options.orphan_age / 2
    }

    /// What is known of an object; `None` when there is none.
    pub(super) async fn head(&self, path: &str) -> Result<Option<HeadObjectOutput>, ClaimError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(self.key(path))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        match head {
            Ok(head) => Ok(Some(head)),
            Err(error) => {
                let is_missing = error
                    .as_service_error()
                    .is_some_and(HeadObjectError::is_not_found)
                    || refused(&error).status == Some(404);
                if is_missing {
                    Ok(None)
                } else {
                    Err(unavailable(self, "s3:GetObject", &error))
                }
            }
        }
    }

    /// The hint of the object at `path` that is an object of its own; `None` when there is none that can be read.
    pub(super) async fn read_hint(&self, path: &str) -> Result<Option<ClaimHint>, ClaimError> {
        let got = self
            .client
            .get_object()
            .bucket(&self.options.bucket)
            .key(self.key(&name::hint_path(path)))
            .send()
            .await;
        let got = match got {
            Ok(got) => got,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(unavailable(self, "s3:GetObject", &error)),
        };
        let bytes = got.body.collect().await.map_err(|error| {
            ClaimError::Unavailable(format!("the hint of a claim broke off: {error}"))
        })?;
        Ok(hint::from_json(&bytes.into_bytes()))
    }

    /// Deletes a claim, and tells whether it was there. An object under the same key that belongs to another claim stays.
    pub(super) async fn delete(&self, name: &Name) -> Result<bool, ClaimError> {
        let has_hint = match name {
            Name::Put { path, nonce } => {
                let Some(head) = self.head(path).await? else {
                    return Ok(false);
                };
                match label(&head) {
                    Some(label) if label.nonce == *nonce => label.hint.is_none(),
                    _ => return Ok(false),
                }
            }
            Name::Multipart { .. } => true,
        };
        self.delete_object(name.path()).await?;
        if has_hint {
            // Last, so that no claim is ever without its hint.
            self.delete_object(&name::hint_path(name.path())).await?;
        }
        Ok(true)
    }

    pub(super) async fn delete_object(&self, path: &str) -> Result<(), ClaimError> {
        let deleted = self
            .client
            .delete_object()
            .bucket(&self.options.bucket)
            .key(self.key(path))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if refused(&error).code == "NoSuchKey" => Ok(()),
            Err(error) => Err(unavailable(self, "s3:DeleteObject", &error)),
        }
    }
}

/// What the object says about itself.
pub(super) fn label(head: &HeadObjectOutput) -> Option<Label> {
    hint::from_metadata(head.metadata().unwrap_or(&HashMap::new()))
}

/// Whether the object is proven to hold the payload: its size is right, and so is the hash that S3 keeps of it, or else
/// the one it was labelled with when S3 checked it.
fn is_proven(head: &HeadObjectOutput, label: &Label, hint: &ClaimHint) -> bool {
    let size = head
        .content_length()
        .and_then(|size| u64::try_from(size).ok());
    let is_whole = head.checksum_type() != Some(&ChecksumType::Composite);
    let hash = match head.checksum_sha256() {
        Some(hash) if is_whole => hash == checksum(&hint.sha256),
        _ => true,
    };
    size == Some(hint.size) && hash && label.sha256 == hint.sha256
}

/// A hash as S3's checksum headers have it.
pub(super) fn checksum(hash: &Sha256) -> String {
    STANDARD.encode(hash.0)
}

/// Whether a read failed because there is nothing.
pub(super) fn is_missing<E>(
    error: &aws_sdk_s3::error::SdkError<
        E,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> bool
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
{
    let refusal = refused(error);
    refusal.code == "NoSuchKey" || (refusal.status == Some(404) && refusal.code != "NoSuchBucket")
}
