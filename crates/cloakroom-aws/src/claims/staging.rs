//! Uploads by presigned URL, below `staging/{source}/`.
//!
//! Everything that an upload is about is signed into its URL: the size, the SHA-256, the content type, and what was
//! announced, as metadata of the object. S3 refuses a `PUT` that differs in one of them, has a body with another hash, or
//! adds metadata. So the URL, used twice, puts the same object twice; and a `GET`, which is one request for one version, can
//! never bring one upload's head with another one's bytes.
//!
//! What is never taken in (a body that never came has no object at all) is removed by the bucket's lifecycle rule on
//! `staging/`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::event::Sha256;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{Announced, ClaimError, Offer, Staged, UploadError, Uploads};
use serde::{Deserialize, Serialize};

use super::fault::unavailable;
use super::object::{checksum, is_missing};
use super::read::flow;
use super::{Bucket, S3Claims};

/// Where uploads are put, below the prefix.
const PLACE: &str = "staging/";

/// The metadata that holds what was announced.
const HEAD: &str = "cloakroom-upload";

/// S3 counts keys and values, in bytes, and takes 2,048.
const HEAD_MAX: usize = 2_000;

/// The largest object that one `PUT` makes.
const PUT_MAX: u64 = 5 << 30;

/// The form of what is stored. Objects of older forms are a day old at most.
const VERSION: u32 = 1;

/// Uploads into the bucket of the claims. Signing makes no request, but may wait for fresh credentials; a URL lives for the
/// configured time, **and never longer than the credentials that signed it**.
#[derive(Clone)]
pub struct S3Uploads {
    bucket: Arc<Bucket>,
    ttl: Duration,
}

impl S3Claims {
    /// Uploads to URLs under which a `PUT` may begin for `ttl`.
    pub fn uploads(&self, ttl: Duration) -> S3Uploads {
        S3Uploads {
            bucket: Arc::clone(&self.0),
            ttl,
        }
    }
}

/// What was announced, as metadata holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    source: String,
    url: String,
    headers: Vec<(String, String)>,
    size: u64,
    sha256: Sha256,
    offered_us: i64,
}

/// JSON in base64: header values may be text that metadata cannot hold.
fn to_metadata(announced: &Announced) -> String {
    let stored = Stored {
        version: VERSION,
        source: announced.source.as_str().to_owned(),
        url: announced.url.clone(),
        headers: announced.headers.clone(),
        size: announced.size,
        sha256: announced.sha256,
        offered_us: announced.offered.as_micros(),
    };
    let json = serde_json::to_vec(&stored).expect("texts and numbers are JSON");
    URL_SAFE_NO_PAD.encode(json)
}

/// `None` when Cloakroom did not sign it, or a later version of it did.
fn from_metadata(text: &str) -> Option<Announced> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let stored: Stored = serde_json::from_slice(&json).ok()?;
    (stored.version == VERSION).then(|| Announced {
        source: stored.source.into(),
        url: stored.url,
        headers: stored.headers,
        size: stored.size,
        sha256: stored.sha256,
        offered: Timestamp::from_micros(stored.offered_us),
    })
}

impl S3Uploads {
    /// Whether something under this key can be an upload.
    fn is_place(&self, key: &str) -> bool {
        key.strip_prefix(self.bucket.options.prefix.as_str())
            .is_some_and(|path| path.starts_with(PLACE))
    }
}

#[async_trait]
impl Uploads for S3Uploads {
    async fn offer(&self, announced: &Announced) -> Result<Offer, UploadError> {
        let head = to_metadata(announced);
        let size = HEAD.len() + head.len();
        if size > HEAD_MAX {
            let max = HEAD_MAX;
            return Err(UploadError::HeadTooLarge { size, max });
        }
        let bucket = &self.bucket;
        let path = format!("{PLACE}{}/{}", announced.source, bucket.random());
        let place = bucket.key(&path);
        let since_epoch = u64::try_from(announced.offered.as_micros()).unwrap_or_default();
        let config = PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_micros(since_epoch))
            .expires_in(self.ttl)
            .build()
            .map_err(|error| ClaimError::Unavailable(format!("cannot sign a URL: {error}")))?;
        let signed = bucket
            .client
            .put_object()
            .bucket(&bucket.options.bucket)
            .key(&place)
            .content_length(i64::try_from(announced.size).unwrap_or(i64::MAX))
            .set_content_type(announced.content_type().map(str::to_owned))
            .checksum_sha256(checksum(&announced.sha256))
            .metadata(HEAD, head)
            .presigned(config)
            .await
            .map_err(|error| unavailable(bucket, "the signing of a URL", &error))?;
        let headers = signed.headers();
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Offer {
            url: signed.uri().to_owned(),
            headers,
            place,
            expires: announced.offered.after(self.ttl),
        })
    }

    async fn staged(&self, place: &str) -> Result<Option<Staged>, ClaimError> {
        if !self.is_place(place) {
            return Ok(None);
        }
        let bucket = &self.bucket;
        let got = bucket
            .client
            .get_object()
            .bucket(&bucket.options.bucket)
            .key(place)
            .send()
            .await;
        let got = match got {
            Ok(got) => got,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(unavailable(bucket, "s3:GetObject", &error)),
        };
        let head = got.metadata().and_then(|metadata| metadata.get(HEAD));
        let size = got.content_length().and_then(|size| size.try_into().ok());
        Ok(Some(Staged {
            announced: head.and_then(|head| from_metadata(head)),
            size: size.unwrap_or_default(),
            body: flow(got.body),
        }))
    }

    async fn discard(&self, place: &str) -> Result<(), ClaimError> {
        let path = place.strip_prefix(self.bucket.options.prefix.as_str());
        match path {
            Some(path) if self.is_place(place) => self.bucket.delete_object(path).await,
            _ => Ok(()),
        }
    }

    fn size_max(&self) -> u64 {
        PUT_MAX
    }
}

impl fmt::Debug for S3Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Uploads")
            .field("bucket", &self.bucket.options.bucket)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_reads_back_whatever_the_headers_say() {
        let announced = Announced {
            source: "shop".into(),
            url: "https://hooks.example/in/shop?a=%20b".to_owned(),
            headers: vec![
                (
                    "content-type".to_owned(),
                    "text/plain; charset=utf-8".to_owned(),
                ),
                ("x-name".to_owned(), "zażółć 🧥 \"'".to_owned()),
            ],
            size: 5 << 30,
            sha256: Sha256::of(b"{}"),
            offered: Timestamp::from_micros(1_800_000_000_000_001),
        };
        let text = to_metadata(&announced);
        assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
        assert_eq!(from_metadata(&text), Some(announced));
        for other in ["", "e30", "not base64!", &URL_SAFE_NO_PAD.encode("[]")] {
            assert_eq!(from_metadata(other), None, "{other}");
        }
    }
}
