//! A Lambda function.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use cloakroom_core::text::Mistake;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};
use serde::Deserialize;

use super::failure::Call;
use super::place::{arn, in_region_of};
use super::{SendOne, each, envelope};
use crate::client::within;

/// What a call that waits for its answer may hold.
const REQUEST_MAX: usize = 6 << 20;

/// How long a function may take. One that takes longer counts as failed, and is called again.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest name of an error that is repeated.
const ERROR_TYPE_MAX: usize = 100;

/// Calls a Lambda function with the structured CloudEvent and waits for its answer: an event is delivered when the
/// function has returned. What it returns is not looked at.
///
/// The call is made once each try: the SDK's own repetitions could run a function twice at the same time.
#[derive(Debug)]
pub struct LambdaFunction {
    client: Client,
    function: String,
}

/// What a function that failed tells. Its message is left alone: it may hold the payload.
#[derive(Deserialize)]
struct FunctionError {
    #[serde(rename = "errorType")]
    error_type: Option<String>,
}

impl LambdaFunction {
    /// The function with this name or ARN, which may name a version or an alias.
    ///
    /// # Errors
    /// When it is neither.
    pub fn new(sdk: &SdkConfig, function: &str) -> Result<Self, Mistake> {
        let found = arn(function, "lambda");
        let is_name = !function.is_empty()
            && function
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b":_$-".contains(&b))
            && !function.starts_with("arn:");
        let is_function = found
            .as_ref()
            .map_or(is_name, |arn| arn.resource.starts_with("function:"));
        if !is_function {
            return Err(Mistake::new(
                format!("{function:?} is neither the ARN of a Lambda function nor its name"),
                "write it as in `arn:aws:lambda:eu-west-1:111122223333:function:billing`",
            ));
        }
        let sdk = within(&in_region_of(sdk, found.as_ref()), TIMEOUT)
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .build();
        Ok(Self {
            client: Client::new(&sdk),
            function: function.to_owned(),
        })
    }
}

impl SendOne for LambdaFunction {
    async fn send_one(&self, outgoing: &Outgoing) -> Result<(), Outcome> {
        let payload = envelope::text(outgoing, REQUEST_MAX, "Lambda")?;
        let invoked = self
            .client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(payload))
            .send()
            .await;
        let answer = match invoked {
            Ok(answer) => answer,
            Err(error) => {
                let call = Call {
                    action: "lambda:InvokeFunction",
                    what: "function",
                    target: &self.function,
                };
                return Err(call.failed(&error));
            }
        };
        let Some(failed) = answer.function_error() else {
            return Ok(());
        };
        let told = answer
            .payload()
            .and_then(|payload| serde_json::from_slice::<FunctionError>(payload.as_ref()).ok())
            .and_then(|error| error.error_type);
        Err(Outcome::Failed {
            reason: failure(&self.function, failed, told.as_deref()),
            retry_after: None,
        })
    }
}

fn failure(function: &str, kind: &str, error_type: Option<&str>) -> String {
    let name: String = error_type
        .unwrap_or(kind)
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(ERROR_TYPE_MAX)
        .collect();
    format!("the function `{function}` failed ({name}); its log tells why")
}

#[async_trait]
impl Sink for LambdaFunction {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        each(self, events).await
    }

    fn kind(&self) -> &'static str {
        "lambda"
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}
