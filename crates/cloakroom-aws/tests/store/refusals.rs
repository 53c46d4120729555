//! What no emulator can be brought to say: races, throttling, buckets elsewhere, entries that fail on their own.

use std::time::Duration;

use cloakroom_aws::claims::{CheckError, S3Options};
use cloakroom_aws::sinks::{EventBridge, LambdaFunction, SqsFifo};
use cloakroom_engine::ports::{ClaimStore as _, Outcome, Sink as _};

use crate::events::{event, reason};
use crate::scripted::{Answer, Scripted};
use crate::support::{body, hint, open, s3};

const TAKEN: Answer = (412, "", "<Error><Code>PreconditionFailed</Code></Error>");
const RACE: Answer = (
    409,
    "",
    "<Error><Code>ConditionalRequestConflict</Code></Error>",
);
const GONE: Answer = (404, "", "");
const DONE: Answer = (200, "etag: \"1\"\r\n", "");

async fn put(server: &Scripted) -> Result<String, String> {
    let claims = open(s3(&server.sdk()), S3Options::new("bucket"));
    let put = claims.put(&hint("evt-1", b"{}"), "{}".into()).await;
    put.map(|claim| claim.0).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_costs_one_request() {
    let server = Scripted::start([DONE]).await;
    put(&server).await.unwrap();
    let claims = open(s3(&server.sdk()), S3Options::new("bucket"));
    let mut upload = claims.begin().await.unwrap();
    upload.write("{}".into()).await.unwrap();
    upload.commit(&hint("evt-2", b"{}")).await.unwrap();
    assert_eq!(server.requests().len(), 2, "{:?}", server.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_a_key_is_run_again() {
    let server = Scripted::start([RACE, TAKEN, GONE, DONE]).await;
    put(&server).await.unwrap();
    let requests = server.requests();
    let methods: Vec<_> = requests.iter().map(|r| r.split(' ').next()).collect();
    assert_eq!(
        methods,
        [Some("put"), Some("put"), Some("head"), Some("put")]
    );
    let path = |number: usize| requests[number].split(' ').nth(1);
    assert_eq!(path(0), path(3), "it is the same key all the time");
    for number in [0, 1, 3] {
        let put = &requests[number];
        assert!(put.contains("if-none-match: *\r\n"), "{put}");
        // The hash of `{}`, which S3 is to check (the request is shown in lower case).
        let checksum = "x-amz-checksum-sha256: rbnvo1wzz4orrq0w9+hknpt7t8if536dembg9hyq/4o=\r\n";
        assert!(put.contains(checksum), "{put}");
    }
}

/// The answer to the call that completed the upload was lost, and S3 knows of no such upload any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_completed_without_anybody_hearing_of_it_is_a_claim() {
    let begun = (
        200,
        "",
        "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
    );
    let lost = (500, "", "<Error><Code>InternalError</Code></Error>");
    let gone = (404, "", "<Error><Code>NoSuchUpload</Code></Error>");
    for (found, expected) in [
        ("content-length: 5242881\r\n", true),
        ("content-length: 7\r\n", false),
    ] {
        let there = (200, found, "");
        // Two parts, the hint, and completing it, twice.
        let answers = [begun, DONE, DONE, DONE, lost, gone, there, DONE];
        let server = Scripted::start(answers).await;
        let claims = open(s3(&server.sdk()), S3Options::new("bucket"));
        let body = body(5_242_881);
        let mut upload = claims.begin().await.unwrap();
        upload.write(body.clone()).await.unwrap();
        let committed = upload.commit(&hint("evt-1", &body)).await;
        assert_eq!(committed.is_ok(), expected, "{committed:?}");
        let aborted = server.requests().iter().any(|r| r.starts_with("delete "));
        assert_eq!(aborted, !expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_without_end_is_given_up() {
    let server = Scripted::start([RACE]).await;
    let told = put(&server).await.unwrap_err();
    assert!(told.contains("trying again"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_that_asks_to_slow_down_is_asked_again_and_then_told() {
    let slow = (503, "", "<Error><Code>SlowDown</Code></Error>");
    let server = Scripted::start([slow, DONE]).await;
    put(&server).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    let server = Scripted::start([slow]).await;
    let told = put(&server).await.unwrap_err();
    assert!(told.contains("slow down"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region_is_told_with_that_region() {
    let moved = (
        301,
        "x-amz-bucket-region: eu-west-1\r\n",
        "<Error><Code>PermanentRedirect</Code></Error>",
    );
    let server = Scripted::start([moved]).await;
    let told = put(&server).await.unwrap_err();
    assert!(told.contains("set AWS_REGION=eu-west-1"), "{told}");
    let claims = open(s3(&server.sdk()), S3Options::new("bucket"));
    let expected = CheckError::OtherRegion {
        bucket: "bucket".to_owned(),
        region: "eu-west-1".to_owned(),
    };
    assert_eq!(claims.check().await, Err(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_fails_within_a_call_that_succeeds_is_not_delivered() {
    let server = Scripted::start([(
        200,
        "content-type: application/x-amz-json-1.1\r\n",
        r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"too fast"}]}"#,
    )])
    .await;
    let sink = EventBridge::new(&server.sdk(), "webhooks").unwrap();
    let told = reason(sink.send(&[event("k", 1)]).await);
    assert!(told.contains("is throttled"), "{told}");
    assert!(told.contains("too fast"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_throttled_is_left_alone_for_as_long_as_it_asks() {
    let server = Scripted::start([(
        429,
        "x-amzn-errortype: TooManyRequestsException\r\nretry-after: 7\r\n",
        r#"{"message":"Rate exceeded"}"#,
    )])
    .await;
    let sink = LambdaFunction::new(&server.sdk(), "billing").unwrap();
    let outcome = sink.send(&[event("k", 1)]).await;
    let Outcome::Failed { retry_after, .. } = &outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(*retry_after, Some(Duration::from_secs(7)));
    assert!(reason(outcome).contains("is throttled"));
    assert_eq!(
        server.requests().len(),
        1,
        "a function is called once a try"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_must_not_be_used_is_told_with_the_permission() {
    let server = Scripted::start([(
        400,
        "x-amzn-errortype: AccessDeniedException\r\n",
        r#"{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"no"}"#,
    )])
    .await;
    let queue = "http://127.0.0.1/000000000000/billing.fifo";
    let sink = SqsFifo::new(&server.sdk(), queue).unwrap();
    let told = reason(sink.send(&[event("k", 1)]).await);
    assert!(
        told.contains("not allowed to call sqs:SendMessage"),
        "{told}"
    );
}
