//! What each kind of answer of Lambda's `Invoke` means.

use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::{Client, config};
use bytes::Bytes;
use cloakroom_aws::client::ClientOptions;
use cloakroom_pipes::aws::FunctionTarget;
use cloakroom_pipes::ports::{Target as _, TargetError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

async fn target(endpoint: &str) -> FunctionTarget {
    let shared = ClientOptions::emulator(endpoint, "eu-west-1")
        .load()
        .await
        .unwrap();
    let config = config::Builder::from(&shared).retry_config(RetryConfig::disabled());
    FunctionTarget::new(Client::from_conf(config.build()), "resequence")
}

/// Answers one request with this, and tells the request.
async fn invoke(status: &str, headers: &str, body: &str) -> (Result<Bytes, TargetError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    );
    let serve = async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(br#"[{"eventID":"1"}]"#) {
            assert_ne!(
                socket.read_buf(&mut request).await.unwrap(),
                0,
                "the request was cut off"
            );
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request).to_lowercase()
    };
    let target = target(&endpoint).await;
    let payload = Bytes::from_static(br#"[{"eventID":"1"}]"#);
    tokio::join!(target.invoke(payload), serve)
}

#[tokio::test]
async fn a_function_is_invoked_synchronously_and_its_answer_handed_on() {
    let (answer, request) = invoke("200 OK", "", r#"{"batchItemFailures":[]}"#).await;
    assert_eq!(answer.unwrap(), r#"{"batchItemFailures":[]}"#);
    assert!(
        request.starts_with("post /2015-03-31/functions/resequence/invocations"),
        "{request}"
    );
    assert!(
        request.contains("x-amz-invocation-type: requestresponse"),
        "{request}"
    );
    let (answer, _) = invoke("200 OK", "", "").await;
    assert_eq!(answer.unwrap(), "");
}

#[tokio::test]
async fn only_the_functions_own_failures_count_as_attempts() {
    let unhandled = "x-amz-function-error: Unhandled\r\n";
    for (status, headers, counts) in [
        ("200 OK", unhandled, true),
        (
            "404 Not Found",
            "x-amzn-errortype: ResourceNotFoundException\r\n",
            true,
        ),
        (
            "403 Forbidden",
            "x-amzn-errortype: AccessDeniedException\r\n",
            true,
        ),
        (
            "413 Too Large",
            "x-amzn-errortype: RequestTooLargeException\r\n",
            true,
        ),
        (
            "429 Too Many",
            "x-amzn-errortype: TooManyRequestsException\r\n",
            false,
        ),
        ("500 Oops", "x-amzn-errortype: ServiceException\r\n", false),
        (
            "502 Oops",
            "x-amzn-errortype: ResourceNotReadyException\r\n",
            false,
        ),
    ] {
        let (answer, _) = invoke(status, headers, r#"{"message":"secret of a record"}"#).await;
        let error = answer.unwrap_err();
        assert_eq!(
            matches!(error, TargetError::Failed(_)),
            counts,
            "{status}: {error}"
        );
        if headers == unhandled {
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_fails_does_not_count() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let error = target(&endpoint)
        .await
        .invoke(Bytes::from_static(b"[]"))
        .await
        .unwrap_err();
    assert!(matches!(error, TargetError::Unavailable(_)), "{error}");
}
