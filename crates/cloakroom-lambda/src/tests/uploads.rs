//! Notifications of uploads, in every form.

use std::time::Duration;

use cloakroom_core::event::Sha256;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};
use cloakroom_engine::ports::{Announced, Clock as _};
use cloakroom_engine::record::Record;
use serde_json::{Value, json};

use super::given::{World, failures, webhook};
use crate::role::Role;

/// A source that signs, and whose receipts would wait for a consumer that never comes.
const CONFIG: &str = r#"
sources:
  orders:
    verify: { scheme: stripe, secrets: [env:SECRET] }
    id: header:webhook-id
    key: body:/key
    order: { kind: arrival }
    max_payload: 100KiB
    ack: { delivered: { timeout: 10m } }
subscriptions:
  audit: { sources: [orders], sink: { pull: {} } }
"#;

/// Larger than what an intake holds in memory.
fn large() -> Vec<u8> {
    format!(r#"{{"key":"A","rest":"{}"}}"#, "x".repeat(70_000)).into_bytes()
}

fn headers(body: &[u8], signed: Timestamp) -> Vec<(String, String)> {
    let no_headers: Vec<(String, String)> = Vec::new();
    let head = RequestHead {
        method: "POST",
        url: "",
        headers: &no_headers,
    };
    let secret = Secret::new(b"a token of some length".to_vec());
    let signer = Signer::new(&Scheme::new(SchemeName::Stripe), &secret).unwrap();
    let mut headers = signer.sign(&head, "msg_1", signed, body).unwrap();
    headers.push(("webhook-id".to_owned(), "e1".to_owned()));
    headers
}

/// Announces a webhook over HTTP; the place it is offered.
async fn offered(world: &World, body: &[u8], headers: &[(String, String)]) -> String {
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let mut event = webhook("A", 1);
    event["rawPath"] = "/in/orders/uploads".into();
    event["body"] = json!({
        "content_type": "application/json", "content_length": body.len(),
        "sha256": Sha256::of(body).to_string(), "headers": headers,
    })
    .to_string()
    .into();
    let answer = world.call(Role::Ingest, event).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let offer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    offer["claim"].as_str().unwrap().to_owned()
}

/// What an EventBridge rule passes on.
fn notified(place: &str) -> Value {
    json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
        "source": "aws.s3", "account": "123456789012", "time": "2026-11-22T05:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:s3:::claims"],
        "detail": {
            "version": "0", "bucket": {"name": "claims"}, "request-id": "N4N7GDK58NMKJ12R",
            "object": {"key": place, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08299329D189"},
            "requester": "123456789012", "source-ip-address": "192.0.2.1", "reason": "PutObject",
        },
    })
}

/// What the bucket itself sends.
fn record(key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": "2026-11-22T05:00:00.000Z",
        "eventName": "ObjectCreated:Put", "userIdentity": {"principalId": "A"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"}, "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "uploads",
            "bucket": {"name": "claims", "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::claims"},
            "object": {"key": key, "size": 5, "eTag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08299329D189"},
        },
    })
}

fn events(world: &World) -> usize {
    let records = world.ledger.dump().into_iter();
    records.filter(|r| matches!(r, Record::Event(_))).count()
}

fn announced(body: &[u8], headers: Vec<(String, String)>, offered: Timestamp) -> Announced {
    Announced {
        source: "orders".into(),
        url: "https://hooks.example/in/orders".to_owned(),
        headers,
        size: body.len() as u64,
        sha256: Sha256::of(body),
        offered,
    }
}

#[tokio::test]
async fn an_upload_becomes_an_event_once() {
    for body in [br#"{"key":"A"}"#.to_vec(), large()] {
        let world = World::with(CONFIG);
        let headers = headers(&body, world.clock.now());
        let place = offered(&world, &body, &headers).await;
        let notification = notified(&place);
        let nothing = world.call(Role::Upload, notification.clone()).await;
        assert_eq!(nothing[0]["status"], "gone", "nothing is there yet");
        assert!(!world.uploads.put(&place, "something else"));
        assert!(world.uploads.put(&place, body.clone()));
        let taken = world.call(Role::Upload, notification.clone()).await;
        assert_eq!(
            (&taken[0]["claim"], &taken[0]["status"]),
            (&json!(place), &json!("accepted"))
        );
        assert!(taken[0]["id"].is_string(), "{taken}");
        assert_eq!((events(&world), world.claims.names().len()), (1, 1));
        assert!(world.uploads.places().is_empty());
        // The notification comes again; then the URL is used again.
        let again = world.call(Role::Upload, notification.clone()).await;
        assert_eq!(again[0]["status"], "gone");
        assert!(world.uploads.put(&place, body));
        let doubled = world.call(Role::Upload, notification).await;
        assert_eq!(
            (&doubled[0]["status"], &doubled[0]["id"]),
            (&json!("duplicate"), &taken[0]["id"])
        );
        assert_eq!(events(&world), 1);
        assert!(world.uploads.places().is_empty());
        assert!(
            world.doorbells.take().is_empty(),
            "a pipe tells of new entries"
        );
    }
}

#[tokio::test]
async fn what_is_not_what_its_headers_say_is_removed_and_leaves_nothing() {
    for body in [br#"{"key":"A"}"#.to_vec(), large(), vec![b'x'; 200_000]] {
        let world = World::with(CONFIG);
        let now = world.clock.now();
        let forged = headers(b"another body", now);
        world.uploads.plant(
            "staging/orders/1",
            Some(announced(&body, forged, now)),
            body.clone(),
        );
        let unsigned = vec![("webhook-id".to_owned(), "e1".to_owned())];
        world.uploads.plant(
            "staging/orders/2",
            Some(announced(&body, unsigned, now)),
            body.clone(),
        );
        for place in ["staging/orders/1", "staging/orders/2"] {
            let taken = world.call(Role::Upload, notified(place)).await;
            assert_eq!(taken[0]["status"], "refused", "{taken}");
        }
        assert!(world.uploads.places().is_empty());
        assert_eq!((events(&world), world.claims.names().len()), (0, 0));
    }
}

#[tokio::test]
async fn what_is_too_large_is_removed_however_well_it_is_signed() {
    let world = World::with(CONFIG);
    let (body, now) = (vec![b'x'; 200_000], world.clock.now());
    let signed = announced(&body, headers(&body, now), now);
    world.uploads.plant("staging/orders/1", Some(signed), body);
    let taken = world.call(Role::Upload, notified("staging/orders/1")).await;
    assert_eq!(taken[0]["status"], "refused", "{taken}");
    assert_eq!((events(&world), world.uploads.places().len()), (0, 0));
}

/// A signature is as old as it was when its place was offered: neither a slow upload nor a late notification makes it stale,
/// and nothing makes an old one fresh.
#[tokio::test]
async fn the_age_of_a_signature_is_judged_as_of_the_offer() {
    let world = World::with(CONFIG);
    let (body, now) = (br#"{"key":"A"}"#, world.clock.now());
    let hour_ago = now.before(Duration::from_secs(3_600));
    let signed = headers(body, hour_ago);
    let replayed = announced(body, signed.clone(), now);
    world
        .uploads
        .plant("staging/orders/1", Some(replayed), &body[..]);
    let taken = world.call(Role::Upload, notified("staging/orders/1")).await;
    assert_eq!(taken[0]["status"], "refused");
    let slow = announced(body, signed, hour_ago);
    world
        .uploads
        .plant("staging/orders/2", Some(slow), &body[..]);
    let taken = world.call(Role::Upload, notified("staging/orders/2")).await;
    assert_eq!(taken[0]["status"], "accepted");
}

#[tokio::test]
async fn an_object_that_nobody_offered_is_left_alone() {
    let world = World::with(CONFIG);
    world.uploads.plant("staging/orders/1", None, "x");
    let taken = world.call(Role::Upload, notified("staging/orders/1")).await;
    assert_eq!(taken[0]["status"], "unknown");
    assert_eq!(world.uploads.places().len(), 1);
    assert_eq!(events(&world), 0);
}

#[tokio::test]
async fn while_a_store_fails_the_notification_comes_again() {
    let world = World::with(CONFIG);
    let (body, now) = (large(), world.clock.now());
    let signed = announced(&body, headers(&body, now), now);
    world
        .uploads
        .plant("staging/orders/1", Some(signed.clone()), body.clone());
    world.uploads.break_off(true);
    let function = world.function(Role::Upload).await;
    let failed = function.handle(notified("staging/orders/1"), None).await;
    assert!(failed.unwrap_err().to_string().contains("broke off"));
    assert_eq!((events(&world), world.claims.names().len()), (0, 0));
    world.uploads.break_off(false);
    let elsewhere = Announced {
        source: "elsewhere".into(),
        ..signed
    };
    world
        .uploads
        .plant("staging/elsewhere/1", Some(elsewhere), body);
    let failed = function.handle(notified("staging/elsewhere/1"), None).await;
    assert!(failed.unwrap_err().to_string().contains("\"elsewhere\""));
    let taken = world.call(Role::Upload, notified("staging/orders/1")).await;
    assert_eq!(taken[0]["status"], "accepted");
    assert_eq!(
        world.uploads.places(),
        ["staging/elsewhere/1"],
        "it is not lost"
    );
}

#[tokio::test]
async fn notifications_come_from_the_bucket_and_through_queues_too() {
    let world = World::with(CONFIG);
    let (body, now) = (br#"{"key":"A"}"#, world.clock.now());
    let plant = |place: &str| {
        let signed = announced(body, headers(body, now), now);
        world.uploads.plant(place, Some(signed), &body[..]);
    };
    plant("staging/orders/a b+c");
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "claims"});
    assert_eq!(world.call(Role::Upload, test).await, json!([]));
    let direct = json!({"Records": [record("staging/orders/a+b%2Bc")]});
    let taken = world.call(Role::Upload, direct).await;
    assert_eq!(taken[0]["status"], "accepted", "{taken}");

    plant("staging/orders/1");
    plant("staging/orders/2");
    let bodies = [
        notified("staging/orders/1").to_string(),
        "{}".to_owned(),
        json!({"Records": [record("staging/orders/2")]}).to_string(),
    ];
    let messages = bodies.iter().enumerate().map(|(index, body)| {
        json!({"messageId": format!("m{index}"), "body": body, "eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}})
    });
    let batch = json!({"Records": messages.collect::<Vec<_>>()});
    assert_eq!(failures(&world.call(Role::Upload, batch).await), ["m1"]);
    assert!(world.uploads.places().is_empty());
    let function = world.function(Role::Upload).await;
    let error = function.handle(json!({"detail": {}}), None).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("notification of S3")
    );
}
