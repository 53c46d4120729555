//! Claims on their way out.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::{ClaimError, PayloadStream};
use futures::StreamExt as _;
use futures::stream;

use super::Bucket;
use super::fault::unavailable;
use super::hint;
use super::name::Name;
use super::object::is_missing;
use crate::fault::refused;

impl Bucket {
    /// The payload or a part of it, as it comes from S3. The SDK checks a whole one against S3's checksum on the way.
    pub(super) async fn read(
        &self,
        claim: &ClaimName,
        name: &Name,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        let missing = || ClaimError::Missing(claim.clone());
        if range.as_ref().is_some_and(Range::is_empty) {
            // HTTP has no empty range.
            let head = self.head(name.path()).await?.ok_or_else(missing)?;
            return match is_named(name, head.metadata()) {
                true => Ok(nothing()),
                false => Err(missing()),
            };
        }
        let header = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let got = self
            .client
            .get_object()
            .bucket(&self.options.bucket)
            .key(self.key(name.path()))
            .set_range(header)
            .send()
            .await;
        let got = match got {
            Ok(got) => got,
            Err(error) if is_missing(&error) => return Err(missing()),
            // It begins at or behind the end.
            Err(error) if refused(&error).status == Some(416) => return Ok(nothing()),
            Err(error) => return Err(unavailable(self, "s3:GetObject", &error)),
        };
        if is_named(name, got.metadata()) {
            Ok(flow(got.body))
        } else {
            Err(missing())
        }
    }
}

fn nothing() -> PayloadStream {
    stream::empty().boxed()
}

/// Whether the object under a claim's key is the one that the claim names.
fn is_named(name: &Name, metadata: Option<&HashMap<String, String>>) -> bool {
    match name {
        Name::Put { nonce, .. } => metadata
            .and_then(hint::from_metadata)
            .is_some_and(|label| label.nonce == *nonce),
        Name::Multipart { .. } => true,
    }
}

/// The bytes of an object as they come.
pub(super) fn flow(body: ByteStream) -> PayloadStream {
    stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.next().await? {
            Ok(bytes) => Some((Ok::<Bytes, ClaimError>(bytes), Some(body))),
            Err(error) => {
                let text =
                    aws_smithy_types::error::display::DisplayErrorContext(&error).to_string();
                let error = if text.contains("checksum") {
                    ClaimError::Corrupt(format!("a claim's bytes are not what S3 took in: {text}"))
                } else {
                    ClaimError::Unavailable(format!("a claim broke off while it was read: {text}"))
                };
                Some((Err(error), None))
            }
        }
    })
    .boxed()
}
