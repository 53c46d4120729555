//! Checks of the policies. What each role really asks for is seen where requests pass a gatekeeper; here it is compared
//! with the calls in the code, and with the configuration.

use std::collections::BTreeSet;
use std::path::Path;

use cloakroom_core::config::Sink;
use cloakroom_core::secret::SecretRef;
use cloakroom_lambda::Role;
use serde_json::Value;

use super::super::deployed::terraform::{Rendered, root};
use super::Deployed;

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Some function, always.
    Function,
    /// Deliver, where a subscription has a sink of this name.
    Sink(&'static str),
    /// A server that is started with `--backend aws`, and nobody else.
    Server,
}

/// Every call of the AWS SDK in the code that functions are made of, with the permissions that it takes.
const OPERATIONS: [(&str, &[&str], Caller); 29] = [
    (
        "abort_multipart_upload",
        &["s3:AbortMultipartUpload"],
        Caller::Function,
    ),
    (
        "batch_get_item",
        &["dynamodb:BatchGetItem"],
        Caller::Function,
    ),
    (
        "complete_multipart_upload",
        &["s3:PutObject"],
        Caller::Function,
    ),
    ("create_bucket", &[], Caller::Server),
    (
        "create_multipart_upload",
        &["s3:PutObject"],
        Caller::Function,
    ),
    ("create_table", &[], Caller::Server),
    ("delete_item", &["dynamodb:DeleteItem"], Caller::Function),
    ("delete_object", &["s3:DeleteObject"], Caller::Function),
    (
        "describe_table",
        &["dynamodb:DescribeTable"],
        Caller::Server,
    ),
    ("get_item", &["dynamodb:GetItem"], Caller::Function),
    ("get_object", &["s3:GetObject"], Caller::Function),
    (
        "get_queue_url",
        &["sqs:GetQueueUrl"],
        Caller::Sink("sqs-fifo"),
    ),
    (
        "get_secret_value",
        &["secretsmanager:GetSecretValue"],
        Caller::Function,
    ),
    ("head_bucket", &["s3:ListBucket"], Caller::Server),
    (
        "head_object",
        &["s3:GetObject", "s3:ListBucket"],
        Caller::Function,
    ),
    ("invoke", &["lambda:InvokeFunction"], Caller::Sink("lambda")),
    (
        "list_multipart_uploads",
        &["s3:ListBucketMultipartUploads"],
        Caller::Function,
    ),
    ("list_objects_v2", &["s3:ListBucket"], Caller::Function),
    ("publish", &["sns:Publish"], Caller::Sink("sns")),
    (
        "put_events",
        &["events:PutEvents"],
        Caller::Sink("eventbridge"),
    ),
    ("put_item", &["dynamodb:PutItem"], Caller::Function),
    ("put_object", &["s3:PutObject"], Caller::Function),
    ("query", &["dynamodb:Query"], Caller::Function),
    (
        "send_message",
        &["sqs:SendMessage"],
        Caller::Sink("sqs-fifo"),
    ),
    ("send_message_batch", &["sqs:SendMessage"], Caller::Function),
    (
        "start_execution",
        &["states:StartExecution"],
        Caller::Sink("step-functions"),
    ),
    (
        "transact_write_items",
        &[
            "dynamodb:ConditionCheckItem",
            "dynamodb:PutItem",
            "dynamodb:DeleteItem",
        ],
        Caller::Function,
    ),
    ("update_item", &["dynamodb:UpdateItem"], Caller::Function),
    ("upload_part", &["s3:PutObject"], Caller::Function),
];

/// What AWS itself does in the name of a function's role.
const OF_THE_PLATFORM: [&str; 13] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    // Where functions are placed in a VPC; AWS knows no resources for these.
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    // What was given up of calls that nobody waits for goes to a queue.
    "sqs:SendMessage",
];

/// All pairs of action and resource that a function's role is allowed.
pub(super) fn allowed(rendered: &Rendered, role: Role) -> Vec<(String, String)> {
    let arn = rendered.function(role.name()).text("role");
    let name = rendered
        .find("aws_iam_role", "arn", arn)
        .map_or(arn, |role| role.text("name"));
    let mut pairs = Vec::new();
    for policy in rendered.all("aws_iam_role_policy") {
        if policy.text("role") == name {
            let document: Value = serde_json::from_str(policy.text("policy")).unwrap();
            for statement in document["Statement"].as_array().into_iter().flatten() {
                for action in texts(&statement["Action"]) {
                    let resources = texts(&statement["Resource"]);
                    pairs.extend(resources.into_iter().map(|one| (action.clone(), one)));
                }
            }
        }
    }
    pairs
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned();
    let list = list.unwrap_or_else(|| vec![value.clone()]);
    list.iter()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

/// Every call in the code is allowed to some function, and nothing is allowed that no code calls.
pub(super) fn operations(deployed: &Deployed) -> Vec<String> {
    let all = Role::ALL.into_iter();
    let union: BTreeSet<String> = all
        .flat_map(|role| allowed(&deployed.rendered, role))
        .map(|(action, _)| action)
        .collect();
    let sinks = deployed.config.subscriptions.values();
    let sinks: BTreeSet<&str> = sinks.map(|one| one.sink.name()).collect();
    let mut findings = Vec::new();
    let mut needed: BTreeSet<&str> = OF_THE_PLATFORM.into();
    for (operation, actions, caller) in OPERATIONS {
        let is_called = match caller {
            Caller::Function => true,
            Caller::Sink(sink) => sinks.contains(sink),
            Caller::Server => false,
        };
        if is_called {
            needed.extend(actions);
            let missing = actions.iter().filter(|action| !union.contains(**action));
            findings.extend(
                missing.map(|action| format!("{operation} takes {action}, which no role has")),
            );
        }
    }
    let more = union
        .iter()
        .filter(|action| !needed.contains(action.as_str()) && !action.starts_with("kms:"));
    findings.extend(more.map(|action| format!("no code calls for {action}")));
    findings
}

/// Nothing is allowed on everything, but what AWS knows no resources for; and no action is a pattern, but KMS's usual ones.
pub(super) fn wildcards(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    for role in Role::ALL {
        for (action, resource) in allowed(&deployed.rendered, role) {
            if resource == "*" && !action.starts_with("ec2:") {
                findings.push(format!("{role} is allowed {action} on everything"));
            }
            if action.contains('*') && !action.starts_with("kms:") {
                findings.push(format!("{role} is allowed {action}"));
            }
        }
    }
    findings
}

/// Each role may read the secrets that its part of the configuration names, and no others.
pub(super) fn secrets(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    for role in Role::ALL {
        let wanted: BTreeSet<String> = role
            .secrets(&deployed.config)
            .iter()
            .filter_map(|secret| match secret {
                SecretRef::AwsSecret(name) => Some(name.to_string()),
                _ => None,
            })
            .collect();
        let granted: BTreeSet<String> = allowed(&deployed.rendered, role)
            .into_iter()
            .filter(|(action, _)| action == "secretsmanager:GetSecretValue")
            .map(|(_, arn)| {
                let made = deployed
                    .rendered
                    .find("aws_secretsmanager_secret", "arn", &arn);
                made.map_or(arn, |secret| secret.text("name").to_owned())
            })
            .collect();
        let missing = wanted.difference(&granted);
        findings.extend(missing.map(|name| format!("{role} reads {name}, but may not")));
        let more = granted.difference(&wanted);
        findings.extend(more.map(|name| format!("{role} may read {name}, but does not")));
    }
    findings
}

/// The calls of the SDK in the sources of what runs in functions: `client` with a method that begins a request.
fn called() -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    for folder in ["crates/cloakroom-aws/src", "crates/cloakroom-lambda/src"] {
        scan(&root().join(folder), &mut called);
    }
    called
}

fn scan(folder: &Path, called: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path, called);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let dense: String = text.split_whitespace().collect();
            let calls = dense.split("client.").skip(1);
            called.extend(calls.filter_map(|rest| {
                let (name, _) = rest.split_once("()")?;
                let is_name = name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
                (is_name && name != "config").then(|| name.to_owned())
            }));
        }
    }
}

#[test]
fn every_call_in_the_code_is_listed_with_what_it_takes() {
    let all = OPERATIONS.into_iter();
    let listed: BTreeSet<String> = all.map(|(name, ..)| name.to_owned()).collect();
    assert_eq!(called(), listed);
}

#[test]
fn every_sink_that_calls_aws_is_listed_by_its_name() {
    let names = OPERATIONS
        .into_iter()
        .filter_map(|(_, _, caller)| match caller {
            Caller::Sink(name) => Some(name),
            _ => None,
        });
    let listed: BTreeSet<&str> = names.collect();
    let config = "sources: { a: { verify: { scheme: none } } }\nsubscriptions:\n";
    for (name, sink) in [
        ("sqs-fifo", "{ sqs-fifo: { queue: q.fifo } }"),
        ("eventbridge", "{ eventbridge: { bus: b } }"),
        (
            "sns",
            "{ sns: { topic: 'arn:aws:sns:us-east-1:000000000000:t' } }",
        ),
        ("lambda", "{ lambda: { function: f } }"),
        (
            "step-functions",
            "{ step-functions: { state_machine: 'arn:aws:states:us-east-1:000000000000:stateMachine:s' } }",
        ),
    ] {
        let text = format!("{config}  one: {{ sources: [a], sink: {sink} }}\n");
        let config = cloakroom_core::config::Config::parse(&text)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let sinks: Vec<&Sink> = config.subscriptions.values().map(|one| &one.sink).collect();
        assert_eq!(sinks[0].name(), name);
        assert!(listed.contains(name), "{name}");
    }
    assert_eq!(listed.len(), 5);
}
