//! The claim store's contract, and what is particular to S3.

use std::time::Duration;

use aws_config::SdkConfig;
use bytes::Bytes;
use cloakroom_aws::claims::{CheckError, S3Options};
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_engine::conformance;
use cloakroom_engine::ports::{ClaimError, ClaimStore as _, References};

use crate::support::{Bucket, body, every_s3, fresh, hint, ministack, now, open, s3, seaweedfs};

async fn conforms(config: &SdkConfig) {
    conformance::claims(async || Bucket::make(config).await.claims).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_conform_on_ministack() {
    conforms(&ministack()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_conform_on_seaweedfs() {
    conforms(&seaweedfs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_writes_the_same_object_again() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let body = body(1_000);
        let hint = hint("evt-1", &body);
        let first = bucket.claims.put(&hint, body.clone()).await.unwrap();
        let again = bucket.claims.put(&hint, body.clone()).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(bucket.keys().await.len(), 1);
        assert_eq!(bucket.read(&first).await.unwrap(), body);
        // It is the claim that is deleted, not whatever has its key.
        bucket.claims.delete(&first).await.unwrap();
        let anew = bucket.claims.put(&hint, body.clone()).await.unwrap();
        assert_ne!(first, anew);
        bucket.claims.delete(&first).await.unwrap();
        assert_eq!(bucket.read(&anew).await.unwrap(), body);
        let gone = bucket.read(&first).await;
        assert!(matches!(gone, Err(ClaimError::Missing(_))), "{gone:?}");
    }
}

/// What stands under the key of a payload decides whether a 412 is success.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proven_the_same_is_stored_under_another_key() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let body = body(1_000);
        let hint = hint("evt-1", &body);
        bucket.claims.put(&hint, body.clone()).await.unwrap();
        let key = format!("some/where/{}", bucket.keys().await.remove(0));
        // Somebody else's bytes, with no word about them; then the right size, with a label that is a lie.
        let head = bucket.client.head_object().bucket(&bucket.name).key(&key);
        let label = head.send().await.unwrap().metadata().cloned();
        let other = Bytes::from(vec![b'x'; 1_000]);
        for metadata in [None, label] {
            let overwrite = bucket
                .client
                .put_object()
                .bucket(&bucket.name)
                .key(&key)
                .set_metadata(metadata)
                .checksum_algorithm(aws_sdk_s3::types::ChecksumAlgorithm::Sha256)
                .body(other.clone().into());
            overwrite.send().await.unwrap();
            let claim = bucket.claims.put(&hint, body.clone()).await.unwrap();
            assert_eq!(bucket.read(&claim).await.unwrap(), body);
            assert!(!key.ends_with(claim.0.split('~').next().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_may_soon_be_reclaimed_is_not_relied_upon() {
    let bucket = Bucket::make_with(&seaweedfs(), |options| {
        options.orphan_age = Duration::ZERO;
    })
    .await;
    let body = body(100);
    let hint = hint("evt-1", &body);
    let first = bucket.claims.put(&hint, body.clone()).await.unwrap();
    let second = bucket.claims.put(&hint, body.clone()).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(bucket.keys().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_leads_elsewhere_is_not_shared() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let body = body(100);
    let plain = hint("evt-1", &body);
    let mut placed = plain.clone();
    placed.event = Some("evt_c2hvcA".into());
    let first = bucket.claims.put(&plain, body.clone()).await.unwrap();
    let second = bucket.claims.put(&placed, body.clone()).await.unwrap();
    assert_ne!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_the_verified_ones_are_refused() {
    for (name, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        let body = body(1_000);
        let mut wrong = hint("evt-1", &body);
        wrong.sha256 = Sha256::of(b"something else");
        let refused = bucket.claims.put(&wrong, body).await;
        assert!(
            matches!(refused, Err(ClaimError::Unavailable(_))),
            "{name}: {refused:?}"
        );
        assert_eq!(bucket.keys().await, Vec::<String>::new());
    }
}

/// References to nothing at all, which must be asked with the hint that was stored.
struct Nothing(&'static str);

#[async_trait::async_trait]
impl References for Nothing {
    async fn is_referenced(
        &self,
        hint: &cloakroom_engine::ports::ClaimHint,
        _: &ClaimName,
    ) -> Result<bool, ClaimError> {
        assert!(hint.identity.as_str().starts_with(self.0));
        Ok(false)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_any_length_and_script_is_kept_whole() {
    for (_, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        for identity in ["zażółć gęślą jaźń", "x".repeat(5_000).as_str()] {
            let body = body(10);
            let hint = hint(&format!("evt {identity}"), &body);
            let claim = bucket.claims.put(&hint, body.clone()).await.unwrap();
            assert_eq!(claim, bucket.claims.put(&hint, body).await.unwrap());
        }
        // Two claims, and the hint of one.
        assert_eq!(bucket.keys().await.len(), 3);
        let before = now().after(Duration::from_secs(60));
        let reclaimed = bucket.claims.reclaim(None, before, &Nothing("evt ")).await;
        assert_eq!(reclaimed.unwrap().removed, 2);
        assert_eq!(bucket.keys().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_is_told_with_its_remedy() {
    for (name, config) in every_s3() {
        let bucket = Bucket::make(&config).await;
        bucket.claims.check().await.unwrap();
        let missing = fresh("missing");
        let claims = open(s3(&config), S3Options::new(&missing));
        let error = claims.check().await.unwrap_err();
        assert_eq!(error, CheckError::Missing { bucket: missing }, "{name}");
        let error = claims.put(&hint("evt-1", b"{}"), "{}".into()).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("does not exist; create it"), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_may_do_nothing_are_told_with_their_remedy() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let stranger = aws_sdk_s3::config::Credentials::new("nobody", "nothing", None, None, "tests");
    let config = seaweedfs()
        .into_builder()
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(stranger))
        .build();
    let claims = open(s3(&config), S3Options::new(&bucket.name));
    let error = claims.check().await.unwrap_err();
    assert!(matches!(error, CheckError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("s3:PutObject"), "{error}");
}
