//! Uploads by presigned URL, put by a client that knows nothing of AWS. SeaweedFS checks signatures and checksums.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_core::config::Config;
use cloakroom_core::event::{Event, Sha256};
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};
use cloakroom_engine::catalog::Catalog;
use cloakroom_engine::intake::Budget;
use cloakroom_engine::memory::MemoryLedger;
use cloakroom_engine::ports::{Announced, ClaimError, Offer, Uploads as _};
use cloakroom_engine::record::Record;
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::upload::Taken;
use cloakroom_engine::{ClaimLinks, Parts, Settings, Stepper};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Bucket, body, now, seaweedfs};

const TTL: Duration = Duration::from_secs(900);
const CONFIG: &str = r#"
sources:
  shop: { verify: { scheme: github, secrets: [env:SECRET] }, id: header:x-id, key: "header:x-name", order: { kind: arrival } }
"#;

struct NoLinks;

#[async_trait]
impl ClaimLinks for NoLinks {
    async fn link(&self, _: &Event, _: Timestamp) -> Result<Option<String>, ClaimError> {
        Ok(None)
    }
}

fn secret() -> Secret {
    Secret::new(b"a secret".to_vec())
}

/// The engine over the bucket's claims.
async fn stepper(bucket: &Bucket, ledger: &Arc<MemoryLedger>) -> Stepper {
    let config = Config::parse(CONFIG).unwrap();
    let catalog = Catalog::build(&config, Some(&|_| Ok(secret())), |_, _| {
        panic!("there are no subscriptions")
    });
    let parts = Parts {
        catalog: catalog.unwrap(),
        settings: Settings {
            inline_max: 16 << 10,
            ledger_only_max: 0,
            retention: Duration::from_secs(86_400),
        },
        budget: Budget::new(10, 64 << 20),
        ledger: Arc::<MemoryLedger>::clone(ledger),
        claims: Arc::new(bucket.claims.clone()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
        links: Arc::new(NoLinks),
    };
    Stepper::open(parts, "tests", TTL).await.unwrap()
}

/// A webhook that is signed for `body`.
fn announce(body: &[u8]) -> Announced {
    let no_headers: Vec<(String, String)> = Vec::new();
    let head = RequestHead {
        method: "POST",
        url: "",
        headers: &no_headers,
    };
    let signer = Signer::new(&Scheme::new(SchemeName::Github), &secret()).unwrap();
    let mut headers = signer.sign(&head, "e1", now(), body).unwrap();
    for (name, value) in [
        ("content-type", "application/x.stuff"),
        ("x-id", "e1"),
        ("x-name", "zażółć"),
    ] {
        headers.push((name.to_owned(), value.to_owned()));
    }
    Announced {
        source: "shop".into(),
        url: "https://hooks.example/in/shop".to_owned(),
        headers,
        size: body.len() as u64,
        sha256: Sha256::of(body),
        offered: now(),
    }
}

/// The status of a `PUT` with these headers.
async fn put(url: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> u16 {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).await.unwrap();
    let mut request = format!("PUT /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    // Who is refused early may not be listened to any more.
    let _ = connection.write_all(body).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    let head = String::from_utf8_lossy(&answer);
    head.split(' ').nth(1).unwrap_or_default().parse().unwrap()
}

fn with(offer: &Offer, name: &str, value: &str) -> BTreeMap<String, String> {
    let mut headers = offer.headers.clone();
    headers.insert(name.to_owned(), value.to_owned());
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_announced_can_be_put_and_it_becomes_an_event() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let ledger = Arc::new(MemoryLedger::shared());
    let stepper = stepper(&bucket, &ledger).await;
    let (engine, uploads) = (stepper.engine(), bucket.claims.uploads(TTL));
    // More than a part, so that the claim is a multipart upload.
    let body = body(9 << 20);
    let offer = engine
        .offer_upload(&uploads, &announce(&body))
        .await
        .unwrap();
    assert!(
        offer.place.starts_with("some/where/staging/shop/"),
        "{offer:?}"
    );
    assert_eq!(offer.headers["content-length"], body.len().to_string());
    assert_eq!(offer.headers["content-type"], "application/x.stuff");

    let longer = [&body[..], b"more"].concat();
    let length = longer.len().to_string();
    let other = Bytes::from(vec![b'x'; body.len()]);
    let hash = STANDARD.encode(Sha256::of(&other).0);
    let head = &offer.headers["x-amz-meta-cloakroom-upload"];
    let tampered = if head.ends_with('A') { "B" } else { "A" };
    let tampered = format!("{}{tampered}", &head[..head.len() - 1]);
    let mut without = offer.headers.clone();
    without.remove("x-amz-meta-cloakroom-upload");
    for (what, headers, body) in [
        (
            "another length",
            with(&offer, "content-length", &length),
            &longer[..],
        ),
        ("other bytes", offer.headers.clone(), &other[..]),
        (
            "another hash",
            with(&offer, "x-amz-checksum-sha256", &hash),
            &other[..],
        ),
        (
            "another head",
            with(&offer, "x-amz-meta-cloakroom-upload", &tampered),
            &body[..],
        ),
        ("no head", without, &body[..]),
        (
            "another type",
            with(&offer, "content-type", "text/html"),
            &body[..],
        ),
    ] {
        let status = put(&offer.url, &headers, body).await;
        assert!((400..500).contains(&status), "{what}: {status}");
        assert!(bucket.keys().await.is_empty(), "{what}");
    }
    let nothing = engine.take_upload(&uploads, &offer.place).await.unwrap();
    assert!(matches!(nothing, Taken::Gone), "{nothing:?}");

    assert_eq!(put(&offer.url, &offer.headers, &body).await, 200);
    let taken = engine.take_upload(&uploads, &offer.place).await.unwrap();
    let Taken::In(receipt) = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(receipt.stream.unwrap().key.as_str(), "zażółć");
    let claim = ledger.dump().into_iter().find_map(|record| match record {
        Record::Event(event) => event.payload()?.claim.clone(),
        _ => None,
    });
    assert_eq!(bucket.read(&claim.unwrap()).await.unwrap(), body);
    let keys = bucket.keys().await;
    assert!(
        keys.iter().all(|key| !key.starts_with("staging/")),
        "{keys:?}"
    );
    let again = engine.take_upload(&uploads, &offer.place).await.unwrap();
    assert!(matches!(again, Taken::Gone), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_ends_and_what_is_no_upload_is_not_touched() {
    let bucket = Bucket::make(&seaweedfs()).await;
    let uploads = bucket.claims.uploads(TTL);
    let body = body(1_000);
    let mut old = announce(&body);
    old.offered = now().before(TTL * 2);
    let offer = uploads.offer(&old).await.unwrap();
    assert_eq!(offer.expires, old.offered.after(TTL));
    assert_eq!(put(&offer.url, &offer.headers, &body).await, 403);
    // Everything else in the bucket is no upload, whoever says so.
    let elsewhere = bucket.client.put_object().bucket(&bucket.name);
    let elsewhere = elsewhere.key("some/where/c/0/x").body(body.clone().into());
    elsewhere.send().await.unwrap();
    for key in [
        "some/where/c/0/x",
        "staging/shop/x",
        "some/where/staging/shop/x",
    ] {
        assert!(uploads.staged(key).await.unwrap().is_none(), "{key}");
        uploads.discard(key).await.unwrap();
    }
    assert_eq!(bucket.keys().await, ["c/0/x"]);
    // What is there without having been offered says so.
    let planted = bucket.client.put_object().bucket(&bucket.name);
    let planted = planted
        .key("some/where/staging/shop/x")
        .body(body.clone().into());
    planted.send().await.unwrap();
    let staged = uploads.staged("some/where/staging/shop/x").await.unwrap();
    assert_eq!(staged.unwrap().announced, None);
}
