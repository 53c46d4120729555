//! A configuration that is an object in S3: `s3://bucket/key`.

use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;

use crate::client::within;
use crate::fault::{Refused, refused};

/// What such a place begins with.
const SCHEME: &str = "s3://";

/// The largest configuration that is read. Hundreds of sources take less.
pub const MAX_BYTES: usize = 1 << 20;

/// How long asking for it may take, with the tries that the SDK makes: a function has ten seconds to start.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Where a configuration is, in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigObject {
    bucket: String,
    key: String,
}

/// Why there is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigObjectError {
    /// It begins like a place in S3, and names none.
    #[error("it names no object; write it as in `s3://my-bucket/cloakroom.yaml`")]
    NoPlace,
    /// There is none.
    #[error("the bucket `{bucket}` has no object `{key}`; put it there, or name another one")]
    Missing {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// There is no bucket.
    #[error("the bucket `{0}` does not exist; create it, or name another one")]
    NoBucket(String),
    /// The bucket is elsewhere.
    #[error(
        "the bucket `{bucket}` is in {}; use one in the Region of this process",
        region.as_deref().map_or_else(|| "another Region".to_owned(), |region| format!("the Region {region}"))
    )]
    OtherRegion {
        /// The bucket.
        bucket: String,
        /// Its Region, where S3 told.
        region: Option<String>,
    },
    /// This process may not read it. S3 says the same of an object that is not there to whoever may not list the bucket.
    #[error(
        "not allowed to call s3:GetObject on `arn:aws:s3:::{bucket}/{key}`, or it is not there; allow it in the policy of this process's role and of the bucket, and kms:Decrypt on the bucket's key, and see that it is there"
    )]
    Denied {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// It is no configuration: nobody writes one as large as that.
    #[error("it is larger than {MAX_BYTES} bytes; is it a configuration?")]
    TooLarge,
    /// It is no text.
    #[error("it is not UTF-8; save it as UTF-8 text")]
    NotText,
    /// S3 cannot be asked.
    #[error("S3 cannot be asked: {0}; trying again may help")]
    Unavailable(String),
}

impl ConfigObject {
    /// The object that `place` names; `None` when it names no object of S3, but a file.
    ///
    /// # Errors
    /// When it begins with `s3://` and goes on with no bucket or no key.
    pub fn parse(place: &str) -> Result<Option<Self>, ConfigObjectError> {
        let Some(rest) = place.strip_prefix(SCHEME) else {
            return Ok(None);
        };
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(Some(Self {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            })),
            _ => Err(ConfigObjectError::NoPlace),
        }
    }

    /// Its text, byte for byte.
    ///
    /// # Errors
    /// Names what is wrong and the remedy.
    pub async fn fetch(&self, sdk: &SdkConfig) -> Result<String, ConfigObjectError> {
        let client = Client::new(&within(sdk, TIMEOUT));
        let asked = client.get_object().bucket(&self.bucket).key(&self.key);
        let mut found = asked.send().await.map_err(|error| {
            let is_missing = error
                .as_service_error()
                .is_some_and(GetObjectError::is_no_such_key);
            self.sort(&refused(&error), is_missing)
        })?;
        let mut bytes = Vec::new();
        while let Some(chunk) = found.body.next().await {
            let broken = |error| ConfigObjectError::Unavailable(format!("it broke off: {error}"));
            bytes.extend_from_slice(&chunk.map_err(broken)?);
            if bytes.len() > MAX_BYTES {
                return Err(ConfigObjectError::TooLarge);
            }
        }
        String::from_utf8(bytes).map_err(|_| ConfigObjectError::NotText)
    }

    fn sort(&self, refused: &Refused, is_missing: bool) -> ConfigObjectError {
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        let region = refused.bucket_region.clone();
        match (refused.code.as_str(), refused.status) {
            _ if is_missing => ConfigObjectError::Missing { bucket, key },
            ("NoSuchBucket", _) => ConfigObjectError::NoBucket(bucket),
            (_, Some(301 | 307)) => ConfigObjectError::OtherRegion { bucket, region },
            ("AuthorizationHeaderMalformed", _) if region.is_some() => {
                ConfigObjectError::OtherRegion { bucket, region }
            }
            (_, Some(403)) => ConfigObjectError::Denied { bucket, key },
            _ => ConfigObjectError::Unavailable(refused.to_string()),
        }
    }
}

impl fmt::Display for ConfigObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_key_or_a_file() {
        let object = ConfigObject::parse("s3://my-bucket/config/a b.yaml").unwrap();
        let object = object.unwrap();
        assert_eq!(
            (object.bucket.as_str(), object.key.as_str()),
            ("my-bucket", "config/a b.yaml")
        );
        assert_eq!(object.to_string(), "s3://my-bucket/config/a b.yaml");
        for file in ["/opt/cloakroom.yaml", "s3/cloakroom.yaml", ""] {
            assert_eq!(ConfigObject::parse(file), Ok(None), "{file}");
        }
        for nothing in ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"] {
            let parsed = ConfigObject::parse(nothing);
            assert_eq!(parsed, Err(ConfigObjectError::NoPlace), "{nothing}");
        }
    }
}
