//! Clients of the emulators, and what several tests need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use bytes::Bytes;
use cloakroom_aws::claims::{S3Claims, S3Options};
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::time::Timestamp;
use cloakroom_emulators::{MiniStack, SeaweedFs};
use cloakroom_engine::ports::{ClaimError, ClaimHint, ClaimStore as _, Clock as _};
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use futures::TryStreamExt as _;

pub(crate) fn config(
    endpoint: &str,
    region: &'static str,
    access: &str,
    secret: &str,
) -> SdkConfig {
    let credentials = Credentials::new(access, secret, None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().build_http())
        .build()
}

/// Leads to the MiniStack that this process's tests share.
pub(crate) fn ministack() -> SdkConfig {
    config(
        &MiniStack::shared().endpoint(),
        MiniStack::REGION,
        "test",
        "test",
    )
}

/// Leads to the SeaweedFS that this process's tests share.
pub(crate) fn seaweedfs() -> SdkConfig {
    let store = SeaweedFs::shared();
    config(
        &store.endpoint(),
        SeaweedFs::REGION,
        store.access_key(),
        store.secret_key(),
    )
}

/// Both S3s.
pub(crate) fn every_s3() -> [(&'static str, SdkConfig); 2] {
    [("MiniStack", ministack()), ("SeaweedFS", seaweedfs())]
}

pub(crate) fn s3(config: &SdkConfig) -> Client {
    let config = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// A name that no other test of this process uses.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A bucket with nothing in it, and claims in it.
pub(crate) struct Bucket {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) claims: S3Claims,
}

impl Bucket {
    pub(crate) async fn make(config: &SdkConfig) -> Self {
        Self::make_with(config, |_| {}).await
    }

    pub(crate) async fn make_with(config: &SdkConfig, set: impl FnOnce(&mut S3Options)) -> Self {
        let client = s3(config);
        let name = fresh("claims");
        client.create_bucket().bucket(&name).send().await.unwrap();
        let mut options = S3Options::new(&name);
        options.prefix = "some/where/".to_owned();
        set(&mut options);
        Self {
            claims: open(client.clone(), options),
            client,
            name,
        }
    }

    /// Every key below the prefix, without it.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = self.client.list_objects_v2().bucket(&self.name).send();
        let listed = listed.await.unwrap();
        let keys = listed.contents().iter().filter_map(|object| object.key());
        keys.map(|key| key.trim_start_matches("some/where/").to_owned())
            .collect()
    }

    /// The keys of the uploads that S3 holds parts of.
    pub(crate) async fn unfinished(&self) -> Vec<String> {
        let listed = self.client.list_multipart_uploads().bucket(&self.name);
        let listed = listed.send().await.unwrap();
        let keys = listed.uploads().iter().filter_map(|upload| upload.key());
        keys.map(str::to_owned).collect()
    }

    pub(crate) async fn read(&self, claim: &ClaimName) -> Result<Bytes, ClaimError> {
        let parts: Vec<Bytes> = self.claims.read(claim, None).await?.try_collect().await?;
        Ok(parts.concat().into())
    }
}

pub(crate) fn open(client: Client, options: S3Options) -> S3Claims {
    S3Claims::new(
        client,
        options,
        Arc::new(SystemClock::new()),
        Arc::new(SystemEntropy),
    )
}

pub(crate) fn now() -> Timestamp {
    SystemClock::new().now()
}

/// Bytes that differ from place to place.
pub(crate) fn body(size: usize) -> Bytes {
    let bytes: Vec<u8> = (0..size as u32 / 4 + 1)
        .flat_map(|number| number.wrapping_mul(0x9E37_79B1).to_le_bytes())
        .take(size)
        .collect();
    bytes.into()
}

pub(crate) fn hint(identity: &str, body: &[u8]) -> ClaimHint {
    ClaimHint {
        source: "shop".into(),
        identity: identity.into(),
        event: None,
        sha256: Sha256::of(body),
        size: body.len() as u64,
        recorded: now(),
    }
}
