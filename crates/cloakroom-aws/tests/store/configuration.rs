//! A configuration in S3, on MiniStack, and what S3 refuses.

use aws_sdk_s3::primitives::ByteStream;
use cloakroom_aws::ConfigObject;
use cloakroom_aws::configuration::{ConfigObjectError, MAX_BYTES};

use crate::scripted::Scripted;
use crate::support::{fresh, ministack, s3};

fn object(bucket: &str, key: &str) -> ConfigObject {
    let place = format!("s3://{bucket}/{key}");
    ConfigObject::parse(&place).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_as_it_was_put_there_or_is_told_why_not() {
    let sdk = ministack();
    let (client, bucket) = (s3(&sdk), fresh("config"));
    let make = client.create_bucket().bucket(&bucket);
    make.send().await.unwrap();
    let put = async |key: &str, body: Vec<u8>| {
        let put = client.put_object().bucket(&bucket).key(key);
        put.body(ByteStream::from(body)).send().await.unwrap();
        object(&bucket, key).fetch(&sdk).await
    };
    let text = "sources: { demo: {} }   # żółw\r\n";
    let fetched = put("config/cloakroom a+b.yaml", text.into()).await;
    assert_eq!(fetched.as_deref(), Ok(text));
    let largest = put("largest", vec![b'#'; MAX_BYTES]).await.unwrap();
    assert_eq!(largest.len(), MAX_BYTES);
    let larger = put("larger", vec![b'#'; MAX_BYTES + 1]).await;
    assert_eq!(larger, Err(ConfigObjectError::TooLarge));
    let foreign = put("foreign", vec![0xff, 0xfe, b'a']).await;
    assert_eq!(foreign, Err(ConfigObjectError::NotText));

    let missing = object(&bucket, "none.yaml").fetch(&sdk).await.unwrap_err();
    let expected = format!(
        "the bucket `{bucket}` has no object `none.yaml`; put it there, or name another one"
    );
    assert_eq!(missing.to_string(), expected);
    let nowhere = object("no-such-bucket", "x").fetch(&sdk).await;
    let expected = ConfigObjectError::NoBucket("no-such-bucket".to_owned());
    assert_eq!(nowhere, Err(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_s3_refuses_is_told_with_the_remedy() {
    let denied = (403, "", "<Error><Code>AccessDenied</Code></Error>");
    let moved = (
        301,
        "x-amz-bucket-region: eu-west-1\r\n",
        "<Error><Code>PermanentRedirect</Code></Error>",
    );
    let down = (500, "", "<Error><Code>InternalError</Code></Error>");
    for (answer, told) in [
        (
            denied,
            "not allowed to call s3:GetObject on `arn:aws:s3:::bucket/key`",
        ),
        (moved, "is in the Region eu-west-1"),
        (down, "S3 cannot be asked: InternalError"),
    ] {
        let server = Scripted::start([answer]).await;
        let error = object("bucket", "key").fetch(&server.sdk()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(told) && error.contains("; "), "{error}");
    }
}
