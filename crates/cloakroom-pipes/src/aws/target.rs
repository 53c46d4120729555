//! A Lambda function as a target.

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{DisplayErrorContext, SdkError};
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use bytes::Bytes;

use crate::ports::{Target, TargetError};

/// A Lambda function, invoked synchronously.
#[derive(Debug, Clone)]
pub struct FunctionTarget {
    client: Client,
    function: String,
}

impl FunctionTarget {
    /// A function by its name or ARN. The client's timeout must be longer than the function's.
    pub fn new(client: Client, function: impl Into<String>) -> Self {
        Self {
            client,
            function: function.into(),
        }
    }
}

#[async_trait]
impl Target for FunctionTarget {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, TargetError> {
        let request = self.client.invoke().function_name(&self.function);
        let request = request.invocation_type(InvocationType::RequestResponse);
        let answer = request
            .payload(Blob::new(payload))
            .send()
            .await
            .map_err(|error| failure(&error))?;
        match answer.function_error() {
            None => Ok(answer
                .payload
                .map_or_else(Bytes::new, |blob| blob.into_inner().into())),
            // What the function answered is not told: it may hold parts of the records.
            Some(kind) => Err(TargetError::Failed(format!(
                "{}: {kind} error",
                self.function
            ))),
        }
    }
}

/// Throttling, errors of the service and of the network are not the function's, and do not count.
fn failure(error: &SdkError<InvokeError>) -> TargetError {
    let text = DisplayErrorContext(error).to_string();
    let answered = match error {
        SdkError::ServiceError(answer) => Some(answer.raw().status().as_u16()),
        SdkError::ConstructionFailure(_) => Some(400),
        _ => None,
    };
    match answered {
        Some(status) if status < 500 && status != 429 => TargetError::Failed(text),
        _ => TargetError::Unavailable(text),
    }
}
