//! A payload on its way in, whose size, hash and signature are known only at its end.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimError, ClaimHint, Upload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::Bucket;
use super::fault::unavailable;
use super::name::{self, Name};
use super::object::checksum;
use super::parts::{OBJECT_MAX, PARTS_MAX, in_flight, part_size};
use crate::fault::refused;

/// An upload. Holds one part, and those that are on their way; see [`super::parts`].
pub(super) struct S3Upload {
    bucket: Arc<Bucket>,
    begun: Timestamp,
    buffer: Vec<u8>,
    size: u64,
    /// The number of the part that is being filled.
    number: u32,
    multipart: Option<Multipart>,
}

/// A multipart upload that S3 knows of. Dropping it aborts it.
struct Multipart {
    bucket: Arc<Bucket>,
    path: String,
    /// `None` once it is completed or aborted.
    id: Option<String>,
    on_the_way: JoinSet<Result<CompletedPart, ClaimError>>,
    arrived: Vec<CompletedPart>,
}

impl S3Upload {
    /// Makes no request: what ends within one part never becomes a multipart upload.
    pub(super) fn new(bucket: Arc<Bucket>) -> Self {
        Self {
            begun: bucket.clock.now(),
            bucket,
            buffer: Vec::new(),
            size: 0,
            number: 1,
            multipart: None,
        }
    }

    /// Makes room for the next bytes: doubling for what may stay small, a whole part at once for what is large. Never
    /// more than a part, which would be memory for nothing.
    fn make_room(&mut self, taken: usize, whole: usize) {
        let needed = self.buffer.len() + taken;
        if needed > self.buffer.capacity() {
            let wanted = match &self.multipart {
                Some(_) => whole,
                None => needed.max(self.buffer.capacity() * 2).min(whole),
            };
            self.buffer.reserve_exact(wanted - self.buffer.len());
        }
    }

    /// Sends what is buffered as a part.
    async fn send_part(&mut self) -> Result<(), ClaimError> {
        if self.number > PARTS_MAX || self.size > OBJECT_MAX {
            return Err(ClaimError::Unavailable(format!(
                "a payload is larger than {OBJECT_MAX} bytes, the most that is stored in S3; set `claims.max_payload`"
            )));
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            None => {
                let path = name::unique('m', self.begun, &self.bucket.random());
                let begun = Multipart::begin(Arc::clone(&self.bucket), path).await?;
                self.multipart.insert(begun)
            }
        };
        let at_once = in_flight(part_size(self.number));
        multipart
            .send(
                self.number,
                std::mem::take(&mut self.buffer).into(),
                at_once,
            )
            .await?;
        self.number += 1;
        Ok(())
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), ClaimError> {
        self.size += chunk.len() as u64;
        while !chunk.is_empty() {
            let whole = usize::try_from(part_size(self.number)).unwrap_or(usize::MAX);
            // A full part is sent only when there is more, so that what fits into one part stays one object.
            if self.buffer.len() == whole {
                self.send_part().await?;
                continue;
            }
            let taken = chunk.split_to(chunk.len().min(whole - self.buffer.len()));
            self.make_room(taken.len(), whole);
            self.buffer.extend_from_slice(&taken);
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>, hint: &ClaimHint) -> Result<ClaimName, ClaimError> {
        if self.multipart.is_none() {
            let path = name::unique('c', hint.recorded, &self.bucket.random());
            return self.bucket.put_at(path, hint, self.buffer.into()).await;
        }
        self.send_part().await?;
        let multipart = self.multipart.take();
        let mut multipart = multipart.expect("a part has been sent");
        match multipart.complete(hint).await {
            Ok(claim) => Ok(claim),
            Err(error) => {
                multipart.abort().await;
                Err(error)
            }
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(mut multipart) = self.multipart.take() {
            multipart.abort().await;
        }
    }
}

impl Multipart {
    async fn begin(bucket: Arc<Bucket>, path: String) -> Result<Self, ClaimError> {
        let created = bucket
            .client
            .create_multipart_upload()
            .bucket(&bucket.options.bucket)
            .key(bucket.key(&path))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .send()
            .await
            .map_err(|error| unavailable(&bucket, "s3:PutObject", &error))?;
        let Some(id) = created.upload_id else {
            let text = "S3 began a multipart upload without giving it an id";
            return Err(ClaimError::Unavailable(text.to_owned()));
        };
        Ok(Self {
            bucket,
            path,
            id: Some(id),
            on_the_way: JoinSet::new(),
            arrived: Vec::new(),
        })
    }

    fn id(&self) -> String {
        self.id.clone().unwrap_or_default()
    }

    /// Sends a part once fewer than `at_once` are on their way.
    async fn send(&mut self, number: u32, bytes: Bytes, at_once: usize) -> Result<(), ClaimError> {
        while self.on_the_way.len() >= at_once {
            self.receive().await?;
        }
        let (bucket, path, id) = (Arc::clone(&self.bucket), self.path.clone(), self.id());
        self.on_the_way
            .spawn(async move { send_part(&bucket, &path, &id, number, bytes).await });
        Ok(())
    }

    /// Waits until one part has arrived. `false` when none is on its way.
    async fn receive(&mut self) -> Result<bool, ClaimError> {
        let Some(joined) = self.on_the_way.join_next().await else {
            return Ok(false);
        };
        let ended =
            |error| ClaimError::Unavailable(format!("the sending of a part ended early: {error}"));
        self.arrived.push(joined.map_err(ended)??);
        Ok(true)
    }

    /// Makes a claim of the parts: its hint first, then the object.
    async fn complete(&mut self, hint: &ClaimHint) -> Result<ClaimName, ClaimError> {
        while self.receive().await? {}
        self.arrived.sort_by_key(|part| part.part_number);
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(std::mem::take(&mut self.arrived)))
            .build();
        self.bucket.write_hint(&self.path, hint).await?;
        let completed = self
            .bucket
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket.options.bucket)
            .key(self.bucket.key(&self.path))
            .upload_id(self.id())
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .mpu_object_size(i64::try_from(hint.size).unwrap_or(i64::MAX))
            .multipart_upload(parts)
            .send()
            .await;
        if let Err(error) = completed {
            self.examine(hint, error).await?;
        }
        self.id = None;
        let path = self.path.clone();
        Ok(Name::Multipart { path }.claim())
    }

    /// Completing failed: it may have succeeded all the same, when only the answer was lost. Nobody else writes under
    /// this key, so an object there is this one.
    async fn examine<E>(
        &self,
        hint: &ClaimHint,
        error: SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> Result<(), ClaimError>
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        let refusal = refused(&error);
        let may_be_done = matches!(refusal.status, None | Some(404 | 412 | 500..=599));
        if may_be_done && let Some(head) = self.bucket.head(&self.path).await? {
            let size = head
                .content_length()
                .and_then(|size| u64::try_from(size).ok());
            if size == Some(hint.size) {
                return Ok(());
            }
        }
        Err(unavailable(&self.bucket, "s3:PutObject", &error))
    }

    async fn abort(&mut self) {
        // Parts that arrive after the abort would stay.
        self.on_the_way.shutdown().await;
        if let Some(id) = self.id.take() {
            abort(&self.bucket, &self.path, id).await;
        }
    }
}

/// Best effort: what cannot be aborted now is found by `reclaim`.
impl Drop for Multipart {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else {
            return;
        };
        let mut on_the_way = std::mem::take(&mut self.on_the_way);
        let (bucket, path) = (Arc::clone(&self.bucket), std::mem::take(&mut self.path));
        runtime.spawn(async move {
            on_the_way.shutdown().await;
            abort(&bucket, &path, id).await;
        });
    }
}

async fn send_part(
    bucket: &Bucket,
    path: &str,
    id: &str,
    number: u32,
    bytes: Bytes,
) -> Result<CompletedPart, ClaimError> {
    let number = i32::try_from(number).expect("there are at most 10,000 parts");
    let hash = checksum(&Sha256::of(&bytes));
    let sent = bucket
        .client
        .upload_part()
        .bucket(&bucket.options.bucket)
        .key(bucket.key(path))
        .upload_id(id)
        .part_number(number)
        .checksum_sha256(&hash)
        .body(ByteStream::from(bytes))
        .send()
        .await
        .map_err(|error| unavailable(bucket, "s3:PutObject", &error))?;
    Ok(CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .checksum_sha256(hash)
        .build())
}

/// Aborts a multipart upload, as far as that is possible now.
pub(super) async fn abort(bucket: &Bucket, path: &str, id: String) -> bool {
    let aborted = bucket
        .client
        .abort_multipart_upload()
        .bucket(&bucket.options.bucket)
        .key(bucket.key(path))
        .upload_id(id)
        .send()
        .await;
    match aborted {
        Ok(_) => true,
        Err(error) if refused(&error).code == "NoSuchUpload" => true,
        Err(error) => {
            let error = unavailable(bucket, "s3:AbortMultipartUpload", &error);
            tracing::warn!(%error, "an upload could not be aborted; it is removed later");
            false
        }
    }
}
