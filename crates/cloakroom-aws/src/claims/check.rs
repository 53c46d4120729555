//! Whether the bucket can be used, asked before anything is served.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use cloakroom_engine::ports::ClaimError;

use super::fault::explain;
use super::{Bucket, S3Claims};
use crate::fault::{Refused, refused};

/// The one Region that S3 does not want to be told.
const DEFAULT_REGION: &str = "us-east-1";

/// Why the bucket cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// There is none of this name.
    #[error("the bucket `{bucket}` does not exist; create it, or name another one")]
    Missing {
        /// Its name.
        bucket: String,
    },
    /// It is elsewhere, where every request would be refused.
    #[error(
        "the bucket `{bucket}` is in the Region {region}, but requests go to another; set AWS_REGION={region}, or use a bucket in this Region"
    )]
    OtherRegion {
        /// Its name.
        bucket: String,
        /// Where it is, as far as S3 tells.
        region: String,
    },
    /// This process may not use it.
    #[error(
        "not allowed to use the bucket `{bucket}`; allow s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload in the policy of this process's role and of the bucket"
    )]
    Denied {
        /// Its name.
        bucket: String,
    },
    /// S3 cannot be reached, or did not answer as it should: trying again may help.
    #[error("{0}; see that the endpoint and the credentials are right, and try again")]
    Unavailable(String),
}

impl From<CheckError> for ClaimError {
    fn from(error: CheckError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl S3Claims {
    /// Asks for the bucket: that it is there, in this Region, and may be used.
    ///
    /// # Errors
    /// Names what is wrong and the remedy.
    pub async fn check(&self) -> Result<(), CheckError> {
        let bucket = &self.0;
        let asked = bucket
            .client
            .head_bucket()
            .bucket(&bucket.options.bucket)
            .send();
        match asked.await {
            Ok(_) => Ok(()),
            Err(error) => Err(sort(bucket, &refused(&error))),
        }
    }
}

impl S3Claims {
    /// Makes the bucket unless it is there already: for tests and local trials. In production Terraform makes it.
    ///
    /// # Errors
    /// Names what is wrong and the remedy.
    pub async fn create_bucket(&self) -> Result<(), CheckError> {
        let bucket = &self.0;
        let region = bucket.client.config().region().map(AsRef::as_ref);
        let place = region
            .filter(|region| *region != DEFAULT_REGION)
            .map(|region| {
                CreateBucketConfiguration::builder()
                    .location_constraint(BucketLocationConstraint::from(region))
                    .build()
            });
        let made = bucket
            .client
            .create_bucket()
            .bucket(&bucket.options.bucket)
            .set_create_bucket_configuration(place)
            .send();
        match made.await {
            Ok(_) => Ok(()),
            Err(error) if is_own(&error) => Ok(()),
            Err(error) => Err(sort(bucket, &refused(&error))),
        }
    }
}

fn is_own(error: &SdkError<CreateBucketError>) -> bool {
    let refused = error.as_service_error();
    refused.is_some_and(CreateBucketError::is_bucket_already_owned_by_you)
}

/// A HEAD request has no body: its status says what is wrong.
fn sort(bucket: &Bucket, refusal: &Refused) -> CheckError {
    let name = bucket.options.bucket.clone();
    match (refusal.status, &refusal.bucket_region) {
        (Some(301 | 307), region) => CheckError::OtherRegion {
            bucket: name,
            region: region
                .clone()
                .unwrap_or_else(|| "it was made in".to_owned()),
        },
        (Some(400), Some(region)) => CheckError::OtherRegion {
            bucket: name,
            region: region.clone(),
        },
        (Some(404), _) => CheckError::Missing { bucket: name },
        (Some(403), _) => CheckError::Denied { bucket: name },
        _ => CheckError::Unavailable(explain(bucket, "s3:ListBucket", refusal)),
    }
}
