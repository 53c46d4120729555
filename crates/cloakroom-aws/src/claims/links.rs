//! Presigned URLs of claims.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use cloakroom_core::event::{ClaimName, Event, Payload};
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ClaimLinks;
use cloakroom_engine::ports::ClaimError;

use super::fault::unavailable;
use super::name::Name;
use super::{Bucket, S3Claims};

/// The longest life that S3 gives a presigned URL.
const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Makes presigned S3 URLs: consumers fetch payloads from S3 itself.
///
/// A URL answers as Cloakroom's own does: with the content type that the payload came with, as an attachment, not to be
/// kept by shared caches. (S3 cannot be told to send `X-Content-Type-Options`.) It lives for the configured time, at most
/// 7 days, **and never longer than the credentials that signed it**: those of a role end after some hours.
///
/// Signing makes no request, but may wait for fresh credentials.
#[derive(Clone)]
pub struct S3Links {
    bucket: Arc<Bucket>,
    ttl: Duration,
    otherwise: Option<Arc<dyn ClaimLinks>>,
}

impl S3Claims {
    /// URLs of these claims that live for `ttl`. `otherwise` makes those of payloads that only the ledger keeps, and which
    /// S3 knows nothing of; without it they have none, so the configuration must let them travel inside the event.
    pub fn links(&self, ttl: Duration, otherwise: Option<Arc<dyn ClaimLinks>>) -> S3Links {
        S3Links {
            bucket: Arc::clone(&self.0),
            ttl: ttl.min(TTL_MAX),
            otherwise,
        }
    }
}

impl S3Links {
    async fn presign(
        &self,
        claim: &ClaimName,
        payload: &Payload,
        now: Timestamp,
    ) -> Result<String, ClaimError> {
        let name = Name::parse(claim).ok_or_else(|| ClaimError::Missing(claim.clone()))?;
        let since_epoch = u64::try_from(now.as_micros()).unwrap_or_default();
        let config = PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_micros(since_epoch))
            .expires_in(self.ttl)
            .build()
            .map_err(|error| ClaimError::Unavailable(format!("cannot sign a URL: {error}")))?;
        let signed = self
            .bucket
            .client
            .get_object()
            .bucket(&self.bucket.options.bucket)
            .key(self.bucket.key(name.path()))
            .response_content_type(content_type(&payload.content_type))
            .response_content_disposition("attachment")
            .response_cache_control("private, no-cache")
            .presigned(config)
            .await
            .map_err(|error| unavailable(&self.bucket, "the signing of a URL", &error))?;
        Ok(signed.uri().to_owned())
    }
}

#[async_trait]
impl ClaimLinks for S3Links {
    async fn link(&self, event: &Event, now: Timestamp) -> Result<Option<String>, ClaimError> {
        let Some(payload) = event.payload() else {
            return Ok(None);
        };
        match (&payload.claim, &self.otherwise) {
            (Some(claim), _) => self.presign(claim, payload, now).await.map(Some),
            (None, Some(otherwise)) => otherwise.link(event, now).await,
            (None, None) => Ok(None),
        }
    }
}

/// What cannot be a header is not repeated.
fn content_type(given: &str) -> &str {
    let is_header = !given.is_empty() && given.bytes().all(|b| (b' '..=b'~').contains(&b));
    if is_header {
        given
    } else {
        "application/octet-stream"
    }
}

impl fmt::Debug for S3Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Links")
            .field("bucket", &self.bucket.options.bucket)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
