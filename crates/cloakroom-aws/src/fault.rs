//! What a service of AWS answered when it did not do what it was asked.

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::display::DisplayErrorContext;

/// The header that tells where a bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// The most of a service's message that is repeated, in characters.
const MESSAGE_MAX: usize = 300;

/// A refusal or a failure, without the types of the operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The service's code, e.g. `AccessDenied`; empty when there was no answer.
    pub(crate) code: String,
    /// What it said; what went wrong on the way when there was no answer.
    pub(crate) message: String,
    /// The HTTP status.
    pub(crate) status: Option<u16>,
    /// How long it asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Where a bucket is, when S3 told.
    pub(crate) bucket_region: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.status) {
            ("", None) => f.write_str(&self.message),
            ("", Some(status)) => write!(f, "status {status}: {}", self.message),
            (code, _) if self.message.is_empty() => f.write_str(code),
            (code, _) => write!(f, "{code}: {}", self.message),
        }
    }
}

/// What a failed call came to.
pub(crate) fn refused<E>(error: &SdkError<E, HttpResponse>) -> Refused
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let response = error.raw_response();
    let header = |name: &str| response.and_then(|response| response.headers().get(name));
    let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
    let message = match meta.and_then(|meta| meta.message()) {
        Some(message) => message.to_owned(),
        None if error.as_service_error().is_some() => String::new(),
        None => match error {
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            other => DisplayErrorContext(other).to_string(),
        },
    };
    Refused {
        code: meta
            .and_then(|meta| meta.code())
            .unwrap_or_default()
            .to_owned(),
        message: message.chars().take(MESSAGE_MAX).collect(),
        status: response.map(|response| response.status().as_u16()),
        retry_after: wait(header("retry-after"), header("x-amz-retry-after")),
        bucket_region: header(BUCKET_REGION).map(str::to_owned),
    }
}

/// `Retry-After` is in seconds, Amazon's own header in milliseconds.
fn wait(seconds: Option<&str>, millis: Option<&str>) -> Option<Duration> {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u64>().ok());
    let seconds = number(seconds).map(Duration::from_secs);
    number(millis).map(Duration::from_millis).or(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_their_units() {
        assert_eq!(wait(Some("3"), None), Some(Duration::from_secs(3)));
        assert_eq!(
            wait(Some("3"), Some("250")),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wait(Some("soon"), None), None);
    }

    #[test]
    fn what_is_known_is_shown() {
        let refused = |code: &str, message: &str, status| Refused {
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            ..Refused::default()
        };
        assert_eq!(refused("SlowDown", "", Some(503)).to_string(), "SlowDown");
        assert_eq!(refused("A", "b", Some(400)).to_string(), "A: b");
        assert_eq!(refused("", "b", Some(500)).to_string(), "status 500: b");
        assert_eq!(refused("", "no answer", None).to_string(), "no answer");
    }
}
