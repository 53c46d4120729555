//! The definition of a pipe: one JSON file in the shape of the Pipes API's `CreatePipe`.
//!
//! Only what the runner executes may stand in a file: an unknown key, or one of AWS's that would be ignored here (an enrichment,
//! an input template), is refused, because what is tested must be what is deployed.

mod check;
mod error;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::Filters;
pub use error::DefinitionError;

/// A pipe from a DynamoDB stream to a Lambda function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Definition {
    /// The pipe's name. A deployment may put its own name before it.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[.\-_A-Za-z0-9]+$"))]
    pub name: String,
    /// What the pipe is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub description: Option<String>,
    /// Whether it runs once it is created.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// The role it runs as: an ARN, or `${role_arn}` where a deployment fills it in.
    #[schemars(regex(pattern = r"^(\$\{role_arn\}|arn:.+)$"))]
    pub role_arn: String,
    /// The DynamoDB stream: an ARN, or `${stream_arn}` where a deployment fills it in.
    #[schemars(regex(pattern = r"^(\$\{stream_arn\}|arn:.+)$"))]
    pub source: String,
    /// How the stream is read.
    pub source_parameters: SourceParameters,
    /// The Lambda function: an ARN, or `${function_arn}` where a deployment fills it in.
    #[schemars(regex(pattern = r"^(\$\{function_arn\}|arn:.+)$"))]
    pub target: String,
    /// How the function is invoked.
    pub target_parameters: TargetParameters,
}

/// Whether a pipe runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DesiredState {
    /// It runs.
    #[default]
    Running,
    /// It was made, but does not run. The runner refuses to run it.
    Stopped,
}

/// How the source is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SourceParameters {
    /// The parameters of a DynamoDB stream.
    #[serde(rename = "DynamoDBStreamParameters")]
    pub dynamodb_stream_parameters: StreamParameters,
    /// Which records the target sees. Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_criteria: Option<FilterCriteria>,
}

/// How a DynamoDB stream is read. Defaults and limits are AWS's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StreamParameters {
    /// Where a pipe that has no checkpoint begins.
    pub starting_position: StartingPosition,
    /// The most records in one invocation.
    #[serde(default = "StreamParameters::default_batch_size")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: u32,
    /// How long to wait for a batch to fill, from its first record on.
    #[serde(default)]
    #[schemars(range(min = 0, max = 300))]
    pub maximum_batching_window_in_seconds: u32,
    /// How often a record is tried again; -1 for as long as the stream keeps it, which blocks its shard for as long.
    #[serde(default = "StreamParameters::unlimited")]
    #[schemars(range(min = -1, max = 10_000))]
    pub maximum_retry_attempts: i32,
    /// How old a record may grow before it is given up; -1 for as long as the stream keeps it.
    #[serde(default = "StreamParameters::unlimited")]
    #[schemars(range(min = -1, max = 604_800))]
    pub maximum_record_age_in_seconds: i32,
    /// Whether a failed batch is halved. Without it, what failed is tried again as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_partial_batch_item_failure: Option<OnPartialBatchItemFailure>,
    /// How many batches of one shard may be in flight. More than 1 gives up the order of a shard, so nothing else is executed.
    #[serde(default = "StreamParameters::one")]
    #[schemars(range(min = 1, max = 1))]
    pub parallelization_factor: u32,
    /// Where the places of records that were given up are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_config: Option<DeadLetterConfig>,
}

impl StreamParameters {
    fn default_batch_size() -> u32 {
        100
    }

    fn unlimited() -> i32 {
        -1
    }

    fn one() -> u32 {
        1
    }
}

/// Where a pipe begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartingPosition {
    /// At the oldest record that the stream still has.
    TrimHorizon,
    /// At what is written from now on.
    Latest,
}

/// What happens to a batch that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnPartialBatchItemFailure {
    /// It is halved, and each half is tried again, down to single records.
    AutomaticBisect,
}

/// Where the places of records that were given up are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeadLetterConfig {
    /// An SQS queue: an ARN, or `${dead_letter_arn}` where a deployment fills it in.
    #[schemars(regex(pattern = r"^(\$\{dead_letter_arn\}|arn:.+)$"))]
    pub arn: String,
}

/// Which records the target sees: those that match any of the filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FilterCriteria {
    /// At most five.
    #[schemars(length(max = 5))]
    pub filters: Vec<Filter>,
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Filter {
    /// An event pattern, as JSON text.
    #[schemars(length(min = 1, max = 4096))]
    pub pattern: String,
}

/// How the target is invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TargetParameters {
    /// The parameters of a Lambda function.
    pub lambda_function_parameters: LambdaFunctionParameters,
}

/// How a Lambda function is invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LambdaFunctionParameters {
    /// Only a synchronous invocation tells the pipe what failed.
    pub invocation_type: InvocationType,
}

/// How a Lambda function is invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvocationType {
    /// The pipe waits for the function's answer.
    RequestResponse,
}

impl Definition {
    /// Reads a definition. `file` is only named in errors.
    ///
    /// # Errors
    /// Names the file, the place in it as a JSON Pointer, and what to write there instead.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let definition: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| DefinitionError::unreadable(file, error))?;
        reader
            .end()
            .map_err(|error| DefinitionError::new(file, "", error.to_string()))?;
        check::check(file, &definition)?;
        Ok(definition)
    }

    /// The pipe that rings the resequencer: `pipes/resequence.json`, as it was when this was built.
    pub fn resequence() -> Self {
        Self::parse(
            "pipes/resequence.json",
            include_str!("../../../../pipes/resequence.json"),
        )
        .expect("the committed definition is valid, which a test checks")
    }

    /// The pipe that rings the subscriptions: `pipes/dispatch.json`, as it was when this was built.
    pub fn dispatch() -> Self {
        Self::parse(
            "pipes/dispatch.json",
            include_str!("../../../../pipes/dispatch.json"),
        )
        .expect("the committed definition is valid, which a test checks")
    }

    /// How the stream is read.
    pub fn stream(&self) -> &StreamParameters {
        &self.source_parameters.dynamodb_stream_parameters
    }

    /// The filters, compiled.
    pub fn filters(&self) -> Filters {
        check::filters("", self.source_parameters.filter_criteria.as_ref())
            .expect("the filters were compiled when the definition was read")
    }

    /// The JSON Schema of the files: `pipes/pipe.schema.json`.
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        schema["title"] = "A pipe from the ledger's DynamoDB stream to a Lambda function".into();
        schema
    }
}

#[cfg(test)]
mod tests;
