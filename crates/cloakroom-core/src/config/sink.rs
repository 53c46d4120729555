//! `subscriptions.*.sink`: where a subscription's events go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::schema::bare;
use super::url::HttpUrl;
use crate::secret::SecretRef;
use crate::text::{Mistake, TextSchema, text_value};
use crate::units::{DurationText, Rate};

/// Where a subscription's events go: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(transform = some_alone)]
pub enum Sink {
    /// A POST per event, signed with Standard Webhooks headers.
    Http(HttpSink),
    /// One line of JSON per event, appended to a file.
    File(FileSink),
    /// One line of JSON per event on standard output.
    Stdout(StdoutSink),
    /// Read over the API and acknowledged.
    Pull(PullSink),
    /// An SQS FIFO queue; the message group is the stream. AWS form only.
    SqsFifo(SqsFifoSink),
    /// An EventBridge bus. AWS form only.
    Eventbridge(EventbridgeSink),
    /// An SNS topic. AWS form only.
    Sns(SnsSink),
    /// A Lambda function. AWS form only.
    Lambda(LambdaSink),
    /// A Step Functions state machine. AWS form only.
    StepFunctions(StepFunctionsSink),
}

fn some_alone(schema: &mut Schema) {
    bare(schema, &["stdout", "pull"]);
}

impl Sink {
    /// The sink's name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::File(_) => "file",
            Self::Stdout(_) => "stdout",
            Self::Pull(_) => "pull",
            Self::SqsFifo(_) => "sqs-fifo",
            Self::Eventbridge(_) => "eventbridge",
            Self::Sns(_) => "sns",
            Self::Lambda(_) => "lambda",
            Self::StepFunctions(_) => "step-functions",
        }
    }

    /// The references to secrets in it.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let http = match self {
            Self::Http(http) => Some(http),
            _ => None,
        };
        http.into_iter().flat_map(|http| {
            let headers = http.headers.values().filter_map(|value| match value {
                HeaderText::Secret(reference) => Some(reference),
                HeaderText::Plain(_) => None,
            });
            http.secret.iter().chain(headers)
        })
    }

    /// Why the embedded form cannot serve this sink; `None` when it can.
    pub fn requires_aws(&self) -> Option<Mistake> {
        match self {
            Self::Http(_) | Self::File(_) | Self::Stdout(_) | Self::Pull(_) => None,
            Self::SqsFifo(_)
            | Self::Eventbridge(_)
            | Self::Sns(_)
            | Self::Lambda(_)
            | Self::StepFunctions(_) => Some(Mistake::new(
                format!("the sink `{}` exists in the AWS form only", self.name()),
                "use `http`, `file`, `stdout` or `pull`, or run with `--backend aws`",
            )),
        }
    }
}

/// A POST per event, signed with Standard Webhooks headers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSink {
    /// Where to send.
    pub url: HttpUrl,
    /// Where the secret that signs the deliveries is found. Without it they are not signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"env:BILLING_SECRET")]
    pub secret: Option<SecretRef>,
    /// How a CloudEvent travels in a request.
    #[serde(default)]
    pub mode: HttpMode,
    /// How long to wait for the answer.
    #[serde(default = "http_timeout")]
    pub timeout: DurationText,
    /// At most this many requests. No limit without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"50/s")]
    pub rate: Option<Rate>,
    /// Further headers of every request. A value is text, or a reference to a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = example_headers())]
    pub headers: BTreeMap<String, HeaderText>,
}

fn http_timeout() -> DurationText {
    DurationText::from_secs(15)
}

fn example_headers() -> serde_json::Value {
    serde_json::json!({ "Authorization": "env:BILLING_AUTHORIZATION", "X-Tenant": "blue" })
}

/// How a CloudEvent travels in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HttpMode {
    /// The whole event as JSON in the body.
    #[default]
    Structured,
    /// The payload as the body, the attributes as `ce-` headers.
    Binary,
    /// Several events as a JSON array in the body.
    Batched,
}

/// The value of a header: text, or a reference to a secret (`env:…`, `file:…`, `aws-secret:…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderText {
    /// As written.
    Plain(String),
    /// Found elsewhere.
    Secret(SecretRef),
}

impl FromStr for HeaderText {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        if ["env:", "file:", "aws-secret:"]
            .iter()
            .any(|kind| text.starts_with(kind))
        {
            return text.parse().map(Self::Secret);
        }
        if !text.chars().all(|c| c == '\t' || (' '..='~').contains(&c)) {
            return Err(Mistake::new(
                "not the value of a header (not shown)",
                "write printable ASCII on one line",
            ));
        }
        Ok(Self::Plain(text.to_owned()))
    }
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(text),
            Self::Secret(reference) => fmt::Display::fmt(reference, f),
        }
    }
}

text_value!(
    HeaderText,
    TextSchema {
        format: "cloakroom-header",
        pattern: "^[\\t -~]*$",
        examples: &["env:BILLING_AUTHORIZATION", "blue"]
    }
);

/// One line of JSON per event, appended to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// The file; created when it does not exist.
    #[schemars(example = &"./audit.ndjson")]
    pub path: PathBuf,
}

/// One line of JSON per event on standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutSink {}

/// Read over the API and acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PullSink {
    /// Events that are not acknowledged within this time come again.
    pub lease: DurationText,
}

impl Default for PullSink {
    fn default() -> Self {
        Self {
            lease: DurationText::from_secs(30),
        }
    }
}

/// An SQS FIFO queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqsFifoSink {
    /// The queue's name (in this account and Region), or its ARN or URL.
    #[schemars(example = &"billing.fifo")]
    pub queue: String,
}

/// An EventBridge bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventbridgeSink {
    /// The bus's name or ARN.
    #[schemars(example = &"arn:aws:events:eu-west-1:111122223333:event-bus/webhooks")]
    pub bus: String,
}

/// An SNS topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnsSink {
    /// The topic's ARN.
    #[schemars(example = &"arn:aws:sns:eu-west-1:111122223333:webhooks.fifo")]
    pub topic: String,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LambdaSink {
    /// The function's name or ARN.
    #[schemars(example = &"arn:aws:lambda:eu-west-1:111122223333:function:billing")]
    pub function: String,
}

/// A Step Functions state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepFunctionsSink {
    /// The state machine's ARN.
    #[schemars(example = &"arn:aws:states:eu-west-1:111122223333:stateMachine:billing")]
    pub state_machine: String,
}
