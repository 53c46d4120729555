//! What S3 refused, in words that name the remedy.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use cloakroom_engine::ports::ClaimError;

use super::Bucket;
use crate::fault::{Refused, refused};

/// What a failed request means for the caller.
pub(super) fn unavailable<E>(
    bucket: &Bucket,
    action: &str,
    error: &SdkError<E, HttpResponse>,
) -> ClaimError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let refused = refused(error);
    ClaimError::Unavailable(explain(bucket, action, &refused))
}

/// The text of a failed request.
pub(super) fn explain(bucket: &Bucket, action: &str, refused: &Refused) -> String {
    let name = &bucket.options.bucket;
    let prefix = &bucket.options.prefix;
    match (refused.code.as_str(), refused.status) {
        ("NoSuchBucket", _) => {
            format!("the bucket `{name}` does not exist; create it, or name another one")
        }
        ("PermanentRedirect" | "IllegalLocationConstraintException", _) | (_, Some(301 | 307)) => {
            elsewhere(name, refused)
        }
        ("AuthorizationHeaderMalformed", _) if refused.bucket_region.is_some() => {
            elsewhere(name, refused)
        }
        ("AccessDenied" | "AllAccessDisabled" | "AccountProblem", _) => {
            format!(
                "not allowed to call {action} on `arn:aws:s3:::{name}/{prefix}*` ({refused}); allow it in the policy of this process's role and of the bucket"
            )
        }
        ("SlowDown" | "ServiceUnavailable" | "RequestLimitExceeded", _) => {
            format!("S3 asks to slow down ({refused}); trying again later will do")
        }
        (
            "BadDigest"
            | "XAmzContentChecksumMismatch"
            | "XAmzContentSHA256Mismatch"
            | "InvalidDigest",
            _,
        ) => {
            format!("{action}: the bytes did not arrive as they were sent ({refused})")
        }
        ("NoSuchUpload", _) => {
            format!(
                "{action}: the upload was aborted by somebody else, or took longer than uploads are kept"
            )
        }
        _ => format!("{action} on the bucket `{name}` failed: {refused}"),
    }
}

fn elsewhere(name: &str, refused: &Refused) -> String {
    match &refused.bucket_region {
        Some(region) => format!(
            "the bucket `{name}` is in the Region {region}; set AWS_REGION={region}, or use a bucket in this Region"
        ),
        None => format!(
            "the bucket `{name}` is in another Region; set AWS_REGION to it, or use a bucket in this Region"
        ),
    }
}
