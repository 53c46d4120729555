//! What a request asks IAM for: actions on resources, as the service authorization reference tells them.

use http::request::Parts;
use serde_json::Value;

use super::s3;

/// The account that emulators play.
pub(super) const ACCOUNT: &str = "000000000000";

/// One action on one resource, with what conditions may ask about the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) action: String,
    pub(super) resource: String,
    context: Vec<(String, String)>,
}

impl Access {
    pub(super) fn new(action: &str, resource: impl Into<String>) -> Self {
        Self {
            action: action.to_owned(),
            resource: resource.into(),
            context: Vec::new(),
        }
    }

    /// With one more value for a condition key.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.context.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The values of a condition key. Requests to AWS are encrypted, so those to an emulator are taken for it.
    pub(super) fn context(&self, key: &str) -> Vec<&str> {
        let is = |name: &str| name.eq_ignore_ascii_case(key);
        if is("aws:SecureTransport") {
            return vec!["true"];
        } else if is("s3:TlsVersion") {
            return vec!["1.3"];
        } else if is("aws:ResourceAccount") {
            return vec![ACCOUNT];
        }
        let found = self.context.iter().filter(|(name, _)| is(name));
        found.map(|(_, value)| value.as_str()).collect()
    }
}

/// The service that a request is meant for, which its error format depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    DynamoDb,
    Events,
    Lambda,
    S3,
    SecretsManager,
    Sns,
    Sqs,
    StepFunctions,
}

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) service: Service,
    /// The API's name for it.
    pub(super) operation: String,
    /// What it takes.
    pub(super) accesses: Vec<Access>,
    /// What it takes to be told that an object is not there, rather than that it is forbidden.
    pub(super) absence: Option<Access>,
    /// What is known only to the service; see [`Unknown`].
    pub(super) unknown: Option<Unknown>,
}

/// A resource that the request names in a way that only the service can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unknown {
    /// A secret by its name or a part of its ARN, whose ARN has a random end.
    Secret(String),
    /// The stream that a shard iterator is one of.
    Iterator(String),
}

/// Whose Region and which service a signature is for.
pub(super) struct Scope {
    region: String,
    service: String,
}

impl Scope {
    /// The credential scope of a signed request or a presigned URL.
    fn of(parts: &Parts) -> Option<Self> {
        let header = parts.headers.get("authorization");
        let credential = match header.and_then(|value| value.to_str().ok()) {
            Some(header) => header.split_once("Credential=")?.1.to_owned(),
            None => query(parts, "X-Amz-Credential")?,
        };
        let mut fields = credential.split(['/', ',']).skip(2);
        let (region, service) = (fields.next()?, fields.next()?);
        Some(Self {
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{ACCOUNT}:{rest}", self.region)
    }

    /// A resource by its ARN or its name.
    fn named(&self, service: &str, kind: &str, name: &str) -> String {
        match name.starts_with("arn:") {
            true => name.to_owned(),
            false => self.arn(service, &format!("{kind}{name}")),
        }
    }
}

/// A parameter of the query, decoded.
pub(super) fn query(parts: &Parts, wanted: &str) -> Option<String> {
    let query = parts.uri.query()?;
    let mut pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(name, _)| decoded(name) == wanted)?;
    Some(decoded(value))
}

pub(super) fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// What a request asks for; `Err` names what the gatekeeper does not know, which is refused.
pub(super) fn asked(parts: &Parts, body: &[u8]) -> Result<Asked, String> {
    let scope = Scope::of(parts).ok_or("it is not signed")?;
    let header = |name: &str| {
        let value = parts.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    if let Some(target) = header("x-amz-target") {
        let body: Value = serde_json::from_slice(body).map_err(|_| "its body is no JSON")?;
        let (prefix, operation) = target.split_once('.').unwrap_or_default();
        return json(prefix, operation, &body, &scope);
    }
    match scope.service.as_str() {
        "s3" => s3::asked(parts),
        "lambda" => lambda(parts, &scope),
        "sns" => sns(body, &scope),
        other => Err(format!(
            "the service {other} is not known to the gatekeeper"
        )),
    }
}

fn just(service: Service, operation: &str, accesses: Vec<Access>) -> Asked {
    Asked {
        service,
        operation: operation.to_owned(),
        accesses,
        absence: None,
        unknown: None,
    }
}

fn json(prefix: &str, operation: &str, body: &Value, scope: &Scope) -> Result<Asked, String> {
    let text = |name: &str| {
        let value = body[name].as_str();
        value.ok_or(format!("{operation} has no {name}"))
    };
    let one = |service, action: &str, resource: String| {
        Ok(just(
            service,
            operation,
            vec![Access::new(action, resource)],
        ))
    };
    match (prefix, operation) {
        ("DynamoDB_20120810", _) => {
            let accesses = dynamodb(operation, body, scope)?;
            Ok(just(Service::DynamoDb, operation, accesses))
        }
        ("DynamoDBStreams_20120810", "DescribeStream" | "GetShardIterator") => {
            let action = format!("dynamodb:{operation}");
            one(Service::DynamoDb, &action, text("StreamArn")?.to_owned())
        }
        ("DynamoDBStreams_20120810", "GetRecords") => Ok(Asked {
            unknown: Some(Unknown::Iterator(text("ShardIterator")?.to_owned())),
            ..just(
                Service::DynamoDb,
                operation,
                vec![Access::new("dynamodb:GetRecords", "")],
            )
        }),
        ("AmazonSQS", "GetQueueUrl") => one(
            Service::Sqs,
            "sqs:GetQueueUrl",
            scope.arn("sqs", text("QueueName")?),
        ),
        ("AmazonSQS", _) => {
            let action = match operation {
                "SendMessage" | "SendMessageBatch" => "sqs:SendMessage",
                "ReceiveMessage" => "sqs:ReceiveMessage",
                "DeleteMessage" | "DeleteMessageBatch" => "sqs:DeleteMessage",
                "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => {
                    "sqs:ChangeMessageVisibility"
                }
                _ => return Err(format!("{operation} of SQS is not known to the gatekeeper")),
            };
            let url = text("QueueUrl")?;
            let name = url.rsplit('/').next().unwrap_or_default();
            one(Service::Sqs, action, scope.arn("sqs", name))
        }
        ("AWSEvents", "PutEvents") => {
            let entries = body["Entries"].as_array().into_iter().flatten();
            let buses = entries.map(|entry| entry["EventBusName"].as_str().unwrap_or("default"));
            let accesses = buses
                .map(|bus| {
                    Access::new("events:PutEvents", scope.named("events", "event-bus/", bus))
                })
                .collect();
            Ok(just(Service::Events, operation, accesses))
        }
        ("AWSStepFunctions", "StartExecution") => one(
            Service::StepFunctions,
            "states:StartExecution",
            text("stateMachineArn")?.to_owned(),
        ),
        ("secretsmanager", "GetSecretValue") => {
            let stage = body["VersionStage"].as_str().unwrap_or("AWSCURRENT");
            let access = Access::new("secretsmanager:GetSecretValue", "");
            Ok(Asked {
                unknown: Some(Unknown::Secret(text("SecretId")?.to_owned())),
                ..just(
                    Service::SecretsManager,
                    operation,
                    vec![access.with("secretsmanager:VersionStage", stage)],
                )
            })
        }
        _ => Err(format!(
            "{prefix}.{operation} is not known to the gatekeeper"
        )),
    }
}

/// A transaction takes the action of each of its items; a batch that reads has an action of its own.
fn dynamodb(operation: &str, body: &Value, scope: &Scope) -> Result<Vec<Access>, String> {
    let table = |body: &Value| {
        let name = body["TableName"].as_str();
        let name = name.ok_or(format!("{operation} has no TableName"))?;
        Ok::<_, String>(scope.named("dynamodb", "table/", name))
    };
    let action = format!("dynamodb:{operation}");
    match operation {
        "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "DescribeTable" => {
            Ok(vec![Access::new(&action, table(body)?)])
        }
        "Query" => {
            let table = table(body)?;
            let resource = match body["IndexName"].as_str() {
                Some(index) => format!("{table}/index/{index}"),
                None => table,
            };
            Ok(vec![Access::new(&action, resource)])
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let tables = tables.map(|(name, _)| scope.named("dynamodb", "table/", name));
            Ok(tables.map(|table| Access::new(&action, table)).collect())
        }
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().into_iter().flatten();
            items
                .map(|item| {
                    let entry = item.as_object().and_then(|item| item.iter().next());
                    let (kind, item) = entry.ok_or("an item of a transaction is empty")?;
                    let action = match kind.as_str() {
                        "Put" => "dynamodb:PutItem",
                        "Update" => "dynamodb:UpdateItem",
                        "Delete" => "dynamodb:DeleteItem",
                        "ConditionCheck" => "dynamodb:ConditionCheckItem",
                        _ => return Err(format!("an item of a transaction is a {kind}")),
                    };
                    let access = Access::new(action, table(item)?);
                    Ok(access.with("dynamodb:EnclosingOperation", operation))
                })
                .collect()
        }
        _ => Err(format!(
            "{operation} of DynamoDB is not known to the gatekeeper"
        )),
    }
}

fn lambda(parts: &Parts, scope: &Scope) -> Result<Asked, String> {
    let path = parts.uri.path();
    let name = path
        .strip_prefix("/2015-03-31/functions/")
        .and_then(|rest| rest.strip_suffix("/invocations"))
        .ok_or(format!("{path} of Lambda is not known to the gatekeeper"))?;
    let mut resource = scope.named("lambda", "function:", &decoded(name));
    if let Some(qualifier) = query(parts, "Qualifier") {
        resource = format!("{resource}:{qualifier}");
    }
    let access = Access::new("lambda:InvokeFunction", resource);
    Ok(just(Service::Lambda, "Invoke", vec![access]))
}

/// The query protocol: a form.
fn sns(body: &[u8], scope: &Scope) -> Result<Asked, String> {
    let body = String::from_utf8_lossy(body).replace('+', " ");
    let field = |wanted: &str| {
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(name, _)| decoded(name) == wanted);
        found.map(|(_, value)| decoded(value))
    };
    let operation = field("Action").unwrap_or_default();
    match (operation.as_str(), field("TopicArn")) {
        ("Publish" | "PublishBatch", Some(topic)) => {
            let access = Access::new("sns:Publish", scope.named("sns", "", &topic));
            Ok(just(Service::Sns, &operation, vec![access]))
        }
        _ => Err(format!("{operation} of SNS is not known to the gatekeeper")),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::json;

    use super::*;

    /// A signed request, and what it takes: `action resource` each.
    fn of(
        service: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Asked, String> {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(uri).header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=K/20261122/eu-west-1/{service}/aws4_request, SignedHeaders=host"),
        );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        asked(&parts, body)
    }

    fn listed(asked: &Asked) -> Vec<String> {
        let all = asked.accesses.iter();
        all.map(|one| format!("{} {}", one.action, one.resource))
            .collect()
    }

    fn target(target: &str, body: &Value) -> Asked {
        let service = "any";
        let headers = [("x-amz-target", target)];
        of(service, "POST /", &headers, body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn json_protocols_name_their_action_in_a_header() {
        for (name, body, expected) in [
            (
                "DynamoDB_20120810.GetItem",
                json!({"TableName": "t"}),
                "dynamodb:GetItem arn:aws:dynamodb:eu-west-1:000000000000:table/t",
            ),
            (
                "DynamoDB_20120810.PutItem",
                json!({"TableName": "arn:aws:dynamodb:x:1:table/t"}),
                "dynamodb:PutItem arn:aws:dynamodb:x:1:table/t",
            ),
            (
                "DynamoDB_20120810.Query",
                json!({"TableName": "t", "IndexName": "i"}),
                "dynamodb:Query arn:aws:dynamodb:eu-west-1:000000000000:table/t/index/i",
            ),
            (
                "DynamoDB_20120810.Query",
                json!({"TableName": "t"}),
                "dynamodb:Query arn:aws:dynamodb:eu-west-1:000000000000:table/t",
            ),
            (
                "DynamoDB_20120810.BatchGetItem",
                json!({"RequestItems": {"t": {"Keys": []}}}),
                "dynamodb:BatchGetItem arn:aws:dynamodb:eu-west-1:000000000000:table/t",
            ),
            (
                "DynamoDBStreams_20120810.GetShardIterator",
                json!({"StreamArn": "arn:aws:dynamodb:x:1:table/t/stream/s"}),
                "dynamodb:GetShardIterator arn:aws:dynamodb:x:1:table/t/stream/s",
            ),
            (
                "AmazonSQS.SendMessageBatch",
                json!({"QueueUrl": "http://127.0.0.1:1/000000000000/q.fifo"}),
                "sqs:SendMessage arn:aws:sqs:eu-west-1:000000000000:q.fifo",
            ),
            (
                "AmazonSQS.GetQueueUrl",
                json!({"QueueName": "q.fifo"}),
                "sqs:GetQueueUrl arn:aws:sqs:eu-west-1:000000000000:q.fifo",
            ),
            (
                "AWSEvents.PutEvents",
                json!({"Entries": [{"EventBusName": "b"}]}),
                "events:PutEvents arn:aws:events:eu-west-1:000000000000:event-bus/b",
            ),
            (
                "AWSEvents.PutEvents",
                json!({"Entries": [{"EventBusName": "arn:aws:events:x:1:event-bus/b"}]}),
                "events:PutEvents arn:aws:events:x:1:event-bus/b",
            ),
            (
                "AWSStepFunctions.StartExecution",
                json!({"stateMachineArn": "arn:s"}),
                "states:StartExecution arn:s",
            ),
        ] {
            assert_eq!(listed(&target(name, &body)), [expected], "{name}");
        }
    }

    #[test]
    fn a_transaction_takes_the_action_of_each_item() {
        let item = json!({"TableName": "t"});
        let body = json!({"TransactItems": [
            {"Put": item}, {"Update": item}, {"Delete": item}, {"ConditionCheck": item},
        ]});
        let asked = target("DynamoDB_20120810.TransactWriteItems", &body);
        let actions: Vec<&str> = asked
            .accesses
            .iter()
            .map(|one| one.action.as_str())
            .collect();
        assert_eq!(
            actions,
            [
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
                "dynamodb:ConditionCheckItem"
            ]
        );
        let enclosing = asked.accesses[3].context("dynamodb:EnclosingOperation");
        assert_eq!(enclosing, ["TransactWriteItems"]);
    }

    #[test]
    fn secrets_and_iterators_are_for_the_service_to_tell() {
        let asked = target(
            "secretsmanager.GetSecretValue",
            &json!({"SecretId": "name", "VersionStage": "AWSPENDING"}),
        );
        assert_eq!(asked.unknown, Some(Unknown::Secret("name".to_owned())));
        let stage = asked.accesses[0].context("secretsmanager:VersionStage");
        assert_eq!(stage, ["AWSPENDING"]);
        let asked = target(
            "DynamoDBStreams_20120810.GetRecords",
            &json!({"ShardIterator": "i"}),
        );
        assert_eq!(asked.unknown, Some(Unknown::Iterator("i".to_owned())));
    }

    #[test]
    fn lambda_has_paths_and_sns_has_forms() {
        let name = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3A1%3Afunction%3Af/invocations";
        for (line, expected) in [
            (
                "POST /2015-03-31/functions/f/invocations".to_owned(),
                "lambda:InvokeFunction arn:aws:lambda:eu-west-1:000000000000:function:f",
            ),
            (
                format!("POST {name}?Qualifier=live"),
                "lambda:InvokeFunction arn:aws:lambda:x:1:function:f:live",
            ),
        ] {
            let asked = of("lambda", &line, &[], b"{}").unwrap();
            assert_eq!(listed(&asked), [expected]);
        }
        let form = b"Action=Publish&TopicArn=arn%3Aaws%3Asns%3Ax%3A1%3At.fifo&Message=a+b";
        let asked = of("sns", "POST /", &[], form).unwrap();
        assert_eq!(listed(&asked), ["sns:Publish arn:aws:sns:x:1:t.fifo"]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let unsigned = Request::get("/b/k").body(()).unwrap().into_parts().0;
        assert_eq!(asked(&unsigned, b"").unwrap_err(), "it is not signed");
        for (service, target, part) in [
            ("dynamodb", "DynamoDB_20120810.DeleteTable", "DeleteTable"),
            ("sqs", "AmazonSQS.PurgeQueue", "PurgeQueue"),
            ("kms", "TrentService.Decrypt", "Decrypt"),
        ] {
            let headers = [("x-amz-target", target)];
            let error = of(service, "POST /", &headers, b"{}").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = of("rds", "POST /", &[], b"").unwrap_err();
        assert!(error.contains("rds"), "{error}");
        let error = of("sns", "POST /", &[], b"Action=CreateTopic&Name=x").unwrap_err();
        assert!(error.contains("CreateTopic"), "{error}");
    }
}
