//! Payloads that arrive in pieces.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use cloakroom_aws::claims::PART_MIN;
use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::{ClaimError, ClaimHint, ClaimStore as _, References};

use crate::support::{Bucket, body, every_s3, hint, now};

const PART: usize = PART_MIN as usize;

/// References to exactly these.
struct Named(HashSet<ClaimName>);

#[async_trait::async_trait]
impl References for Named {
    async fn is_referenced(&self, _: &ClaimHint, claim: &ClaimName) -> Result<bool, ClaimError> {
        Ok(self.0.contains(claim))
    }
}

async fn upload(bucket: &Bucket, body: &Bytes, chunk: usize) -> ClaimName {
    let mut upload = bucket.claims.begin().await.unwrap();
    for start in (0..body.len()).step_by(chunk) {
        let end = (start + chunk).min(body.len());
        upload.write(body.slice(start..end)).await.unwrap();
    }
    upload.commit(&hint("evt-1", body)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_parts_become_one_claim() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let body = body(4 * PART + 12_345);
        let claim = upload(&bucket, &body, 700_001).await;
        assert!(bucket.read(&claim).await.unwrap() == body);
        let across = PART as u64 - 3..PART as u64 + 4;
        let part = bucket.claims.read(&claim, Some(across)).await.unwrap();
        let part: Vec<Bytes> = futures::TryStreamExt::try_collect(part).await.unwrap();
        assert_eq!(part.concat(), body[PART - 3..PART + 4]);
        assert_eq!(bucket.unfinished().await, Vec::<String>::new());
        // The claim and its hint; nothing was staged.
        assert_eq!(bucket.keys().await.len(), 2);
        bucket.claims.delete(&claim).await.unwrap();
        assert_eq!(bucket.keys().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_into_one_part_is_one_object() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        for size in [0, 1, PART] {
            let body = body(size);
            let claim = upload(&bucket, &body, PART / 2 + 1).await;
            assert!(claim.0.starts_with("c/"), "{claim:?}");
            assert!(bucket.read(&claim).await.unwrap() == body);
        }
        let claim = upload(&bucket, &body(PART + 1), PART + 1).await;
        assert!(claim.0.starts_with("m/"), "{claim:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_read_before_it_is_committed() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let mut upload = bucket.claims.begin().await.unwrap();
        upload.write(body(2 * PART + 1)).await.unwrap();
        assert_eq!(bucket.unfinished().await.len(), 1);
        assert_eq!(bucket.keys().await, Vec::<String>::new());
        let key = bucket.unfinished().await.remove(0);
        let path = key.trim_start_matches("some/where/").to_owned();
        let early = bucket.read(&ClaimName(path)).await;
        assert!(matches!(early, Err(ClaimError::Missing(_))), "{early:?}");
        upload.abort().await;
        assert_eq!(bucket.unfinished().await, Vec::<String>::new());
        assert_eq!(bucket.keys().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_upload_is_aborted() {
    for (name, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let mut upload = bucket.claims.begin().await.unwrap();
        upload.write(body(3 * PART)).await.unwrap();
        drop(upload);
        let gone = async {
            while !bucket.unfinished().await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), gone).await;
        assert!(ended.is_ok(), "{name}: the upload is still there");
        assert_eq!(bucket.keys().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_somebody_aborted_is_no_claim() {
    for (_, config) in every_s3() {
        let bucket =
            Bucket::make_with(&config, |options| options.orphan_age = Duration::ZERO).await;
        let body = body(PART + 10);
        let mut upload = bucket.claims.begin().await.unwrap();
        upload.write(body.clone()).await.unwrap();
        let begun = now();
        // S3 tells when an upload began by the second.
        while now().as_secs() <= begun.as_secs() {
            tokio::task::yield_now().await;
        }
        let none = Named(HashSet::new());
        let reclaimed = bucket.claims.reclaim(None, now(), &none).await.unwrap();
        assert_eq!((reclaimed.removed, reclaimed.bytes), (1, 0));
        assert_eq!(bucket.unfinished().await, Vec::<String>::new());
        let refused = upload.commit(&hint("evt-1", &body)).await;
        assert!(
            matches!(refused, Err(ClaimError::Unavailable(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_claims_are_reclaimed_by_their_hints() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let kept = upload(&bucket, &body(PART + 1), PART).await;
        let orphan = upload(&bucket, &body(PART + 2), PART).await;
        let named = Named(HashSet::from([kept.clone()]));
        let reclaim = async |after, before| {
            let reclaimed = bucket.claims.reclaim(after, before, &named).await.unwrap();
            (reclaimed.examined, reclaimed.removed, reclaimed.bytes)
        };
        let later = now().after(Duration::from_secs(60));
        assert_eq!(
            reclaim(Some(later), later.after(Duration::from_secs(1))).await,
            (0, 0, 0)
        );
        assert_eq!(
            reclaim(None, now().before(Duration::from_secs(60))).await,
            (0, 0, 0)
        );
        assert_eq!(reclaim(None, later).await, (2, 1, PART as u64 + 2));
        assert!(bucket.read(&kept).await.is_ok());
        let gone = bucket.read(&orphan).await;
        assert!(matches!(gone, Err(ClaimError::Missing(_))), "{gone:?}");
        assert_eq!(bucket.keys().await.len(), 2);
    }
}
