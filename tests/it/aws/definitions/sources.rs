//! Checks of what calls the functions: queues, pipes, the table's stream, the bucket.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_pipes::definition::Definition;
use serde_json::{Value, json};

use super::super::deployed::gates::{PIPES, pipe_of};
use super::super::deployed::terraform::{Resource, root};
use super::Deployed;

/// How much longer a message is invisible than its function may run, as AWS asks for.
const VISIBILITY: u64 = 6;
/// The most messages of a FIFO queue in one call.
const FIFO_BATCH_MAX: u64 = 10;

/// Queues wait for their functions, and take partial answers.
pub(super) fn mappings(deployed: &Deployed) -> Vec<String> {
    let rendered = &deployed.rendered;
    let mut findings = Vec::new();
    let mut fed = BTreeSet::new();
    for mapping in rendered.all("aws_lambda_event_source_mapping") {
        let name = &mapping.address;
        let queue = rendered.find("aws_sqs_queue", "arn", mapping.text("event_source_arn"));
        let function = rendered
            .all("aws_lambda_function")
            .find(|function| is_of(function, mapping.text("function_name")));
        let (Some(queue), Some(function)) = (queue, function) else {
            findings.push(format!("{name} has no queue, or no function"));
            continue;
        };
        fed.insert(function.text("handler"));
        let (invisible, timeout) = (
            queue.number("visibility_timeout_seconds"),
            function.number("timeout"),
        );
        if invisible < VISIBILITY * timeout {
            findings.push(format!(
                "{}: messages are invisible for {invisible} s, but the function may take {timeout} s",
                queue.address
            ));
        }
        if mapping.values["function_response_types"] != json!(["ReportBatchItemFailures"]) {
            findings.push(format!("{name} does not take partial answers"));
        }
        if queue.values["fifo_queue"] == true && mapping.number("batch_size") > FIFO_BATCH_MAX {
            findings.push(format!("{name} asks for more than a FIFO queue gives"));
        }
    }
    let wanted = BTreeSet::from(["deliver", "sweep"]);
    if fed != wanted {
        findings.push(format!("queues feed {fed:?} instead of {wanted:?}"));
    }
    findings
}

fn is_of(function: &Resource, named: &str) -> bool {
    named == function.text("arn") || named == function.text("function_name")
}

/// Doorbells keep the order of their groups: nothing is set aside, and duplicates are told by their ids.
pub(super) fn doorbells(deployed: &Deployed) -> Vec<String> {
    let rendered = &deployed.rendered;
    let set = &rendered.function("dispatch").values["environment"][0]["variables"];
    let url = set["CLOAKROOM_DOORBELLS"].as_str().unwrap_or_default();
    let Some(queue) = rendered.find("aws_sqs_queue", "url", url) else {
        return vec![format!("dispatch is told of {url:?}, which is not there")];
    };
    let mut findings = Vec::new();
    for (attribute, wanted) in [
        ("fifo_queue", json!(true)),
        ("content_based_deduplication", json!(false)),
        ("deduplication_scope", json!("messageGroup")),
        ("fifo_throughput_limit", json!("perMessageGroupId")),
    ] {
        let found = &queue.values[attribute];
        if *found != wanted {
            findings.push(format!("{attribute} is {found} instead of {wanted}"));
        }
    }
    let redrive = &queue.values["redrive_policy"];
    if !matches!(redrive.as_str(), None | Some("")) {
        findings.push(format!(
            "a dead-letter queue would break the order of a group: {redrive}"
        ));
    }
    findings
}

/// The pipes are those of `pipes/`, which the runner executes, within AWS's limits.
pub(super) fn pipes(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, expected) in [
        ("resequence", Definition::resequence()),
        ("dispatch", Definition::dispatch()),
    ] {
        let resource = pipe_of(&deployed.rendered, name);
        let text = as_definition(resource).to_string();
        let mut found = match Definition::parse(&resource.address, &text) {
            Ok(found) => found,
            Err(error) => {
                findings.push(error.to_string());
                continue;
            }
        };
        let function = deployed.rendered.function(name).text("arn");
        if found.target != function {
            findings.push(format!(
                "{name} calls {} instead of {function}",
                found.target
            ));
        }
        let stream = deployed.rendered.only("aws_dynamodb_table");
        if found.source != stream.text("stream_arn") {
            findings.push(format!("{name} reads {}", found.source));
        }
        // What a deployment fills in.
        found.name.clone_from(&expected.name);
        found.role_arn.clone_from(&expected.role_arn);
        found.source.clone_from(&expected.source);
        found.target.clone_from(&expected.target);
        let letters = &mut found
            .source_parameters
            .dynamodb_stream_parameters
            .dead_letter_config;
        letters.clone_from(
            &expected
                .source_parameters
                .dynamodb_stream_parameters
                .dead_letter_config,
        );
        if found != expected {
            findings.push(format!("{name} is {found:?} instead of {expected:?}"));
        }
    }
    let count = deployed.rendered.all("aws_pipes_pipe").count();
    if count != PIPES.len() {
        findings.push(format!(
            "a stream has two readers, but there are {count} pipes"
        ));
    }
    findings
}

/// What Terraform says of a pipe, in the shape of `CreatePipe`.
fn as_definition(pipe: &Resource) -> Value {
    let values = &pipe.values;
    let stream = &values["source_parameters"][0]["dynamodb_stream_parameters"][0];
    let filters = &values["source_parameters"][0]["filter_criteria"][0]["filter"];
    let filters = filters.as_array().into_iter().flatten();
    let filters: Vec<Value> = filters
        .map(|filter| json!({"Pattern": filter["pattern"]}))
        .collect();
    let invocation = &values["target_parameters"][0]["lambda_function_parameters"][0];
    json!({
        "Name": values["name"],
        "Description": values["description"],
        "DesiredState": values["desired_state"],
        "RoleArn": values["role_arn"],
        "Source": values["source"],
        "SourceParameters": {
            "DynamoDBStreamParameters": {
                "StartingPosition": stream["starting_position"],
                "BatchSize": stream["batch_size"],
                "MaximumBatchingWindowInSeconds": stream["maximum_batching_window_in_seconds"],
                "MaximumRetryAttempts": stream["maximum_retry_attempts"],
                "MaximumRecordAgeInSeconds": stream["maximum_record_age_in_seconds"],
                "OnPartialBatchItemFailure": stream["on_partial_batch_item_failure"],
                "ParallelizationFactor": stream["parallelization_factor"],
                "DeadLetterConfig": {"Arn": stream["dead_letter_config"][0]["arn"]},
            },
            "FilterCriteria": {"Filters": filters},
        },
        "Target": values["target"],
        "TargetParameters": {
            "LambdaFunctionParameters": {"InvocationType": invocation["invocation_type"]},
        },
    })
}

/// The table is the one that the ledger makes for itself.
pub(super) fn table(deployed: &Deployed) -> Vec<String> {
    let file = root().join("crates/cloakroom-aws/src/ledger/table.json");
    let text = std::fs::read_to_string(file).unwrap();
    let defined: Value = serde_json::from_str(&text).unwrap();
    let values = &deployed.rendered.only("aws_dynamodb_table").values;
    let key = |hash: &Value, range: &Value| json!([[hash, "HASH"], [range, "RANGE"]]);
    let key_of = |schema: &Value| {
        let parts = schema.as_array().into_iter().flatten();
        let parts: Vec<Value> = parts
            .map(|part| json!([part["AttributeName"], part["KeyType"]]))
            .collect();
        json!(parts)
    };
    let list =
        |value: &Value, read: &dyn Fn(&Value) -> (String, Value)| -> BTreeMap<String, Value> {
            value.as_array().into_iter().flatten().map(read).collect()
        };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let made = json!({
        "key": key(&values["hash_key"], &values["range_key"]),
        "attributes": list(&values["attribute"], &|one| (text(&one["name"]), one["type"].clone())),
        "indexes": list(&values["global_secondary_index"], &|one| (
            text(&one["name"]),
            json!([key(&one["hash_key"], &one["range_key"]), one["projection_type"]]),
        )),
        "billing": values["billing_mode"],
        "stream": [values["stream_enabled"], values["stream_view_type"]],
    });
    let wanted = json!({
        "key": key_of(&defined["KeySchema"]),
        "attributes": list(&defined["AttributeDefinitions"], &|one| (
            text(&one["AttributeName"]),
            one["AttributeType"].clone(),
        )),
        "indexes": list(&defined["GlobalSecondaryIndexes"], &|one| (
            text(&one["IndexName"]),
            json!([key_of(&one["KeySchema"]), one["Projection"]["ProjectionType"]]),
        )),
        "billing": defined["BillingMode"],
        "stream": [
            defined["StreamSpecification"]["StreamEnabled"],
            defined["StreamSpecification"]["StreamViewType"],
        ],
    });
    let mut findings = Vec::new();
    if made != wanted {
        findings.push(format!("it is {made} instead of {wanted}"));
    }
    let expiry = &values["ttl"];
    if expiry
        .as_array()
        .is_some_and(|ttl| ttl.iter().any(|one| one["enabled"] == true))
    {
        findings.push(format!("entries would expire: {expiry}"));
    }
    findings
}

/// The bucket tells of what is put under `staging/`, and nothing but that and unfinished uploads expires.
pub(super) fn uploads(deployed: &Deployed) -> Vec<String> {
    let rendered = &deployed.rendered;
    let mut findings = Vec::new();
    let bucket = rendered.only("aws_s3_bucket").text("bucket");
    let upload = rendered.function("upload").text("arn");
    let targets = rendered.all("aws_cloudwatch_event_target");
    let rules: Vec<&Resource> = targets
        .filter(|target| target.text("arn") == upload)
        .filter_map(|target| {
            rendered.find("aws_cloudwatch_event_rule", "name", target.text("rule"))
        })
        .collect();
    let wanted = json!({
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "staging/"}]}},
    });
    let told = rules.iter().any(|rule| {
        let pattern = serde_json::from_str::<Value>(rule.text("event_pattern"));
        pattern.is_ok_and(|pattern| pattern == wanted)
    });
    if !told {
        findings.push(format!("no rule tells upload of {wanted}"));
    }
    if rendered.only("aws_s3_bucket_notification").values["eventbridge"] != true {
        findings.push("the bucket tells nobody".to_owned());
    }
    let rules = &rendered
        .only("aws_s3_bucket_lifecycle_configuration")
        .values["rule"];
    for rule in rules.as_array().into_iter().flatten() {
        let expires = rule["expiration"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        let prefix = &rule["filter"][0]["prefix"];
        if expires && prefix != "staging/" {
            findings.push(format!("claims expire: {rule}"));
        }
    }
    findings
}
