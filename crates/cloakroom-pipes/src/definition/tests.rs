//! The committed files, their schema, and what a definition is refused for.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipes"))
}

/// Every definition in `pipes/`.
fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(folder()).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json") && name != "pipe.schema.json")
        .map(|name| {
            (
                name.clone(),
                fs::read_to_string(folder().join(name)).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

fn committed_schema() -> Value {
    let text = fs::read_to_string(folder().join("pipe.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_schema_is_the_one_of_the_types() {
    assert_eq!(
        committed_schema(),
        Definition::schema(),
        "run `cargo run -p cloakroom-pipes --example schema > pipes/pipe.schema.json`"
    );
}

#[test]
fn every_committed_file_is_valid() {
    let validator = jsonschema::validator_for(&committed_schema()).unwrap();
    let files = files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dispatch.json", "resequence.json"]);
    for (name, text) in &files {
        let json: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&json)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let definition = Definition::parse(name, text).unwrap();
        assert_eq!(format!("{}.json", definition.name), *name);
        let written = serde_json::to_value(&definition).unwrap();
        assert_eq!(written, json, "{name} is read and written without loss");
    }
}

/// What both pipes rely on for their order and their progress.
#[test]
fn the_committed_pipes_keep_order_and_never_block_for_ever() {
    for pipe in [Definition::resequence(), Definition::dispatch()] {
        let stream = pipe.stream();
        assert_eq!(stream.parallelization_factor, 1);
        assert_eq!(stream.starting_position, StartingPosition::TrimHorizon);
        assert!((0..=10).contains(&stream.maximum_retry_attempts));
        assert!((60..86_400).contains(&stream.maximum_record_age_in_seconds));
        assert!(stream.on_partial_batch_item_failure.is_some());
        assert_eq!(
            stream.dead_letter_config.as_ref().unwrap().arn,
            "${dead_letter_arn}"
        );
        assert_eq!(pipe.source, "${stream_arn}");
    }
}

#[test]
fn the_filters_pass_what_rings_and_nothing_else() {
    let head = |advanced: &str| json!({"PK": {"S": "STREAM#shop#42"}, "SK": {"S": "HEAD"}, "kind": {"S": "HEAD"}, "advanced": {"S": advanced}});
    let of_kind =
        |kind: &str| json!({"PK": {"S": "STREAM#shop#42"}, "SK": {"S": "x"}, "kind": {"S": kind}});
    let insert = |new: Value| json!({"eventName": "INSERT", "dynamodb": {"NewImage": new}});
    let modify = |old: Value, new: Value| json!({"eventName": "MODIFY", "dynamodb": {"NewImage": new, "OldImage": old}});
    let remove = |old: Value| json!({"eventName": "REMOVE", "dynamodb": {"OldImage": old}});
    let event = of_kind("EVENT");
    for (record, resequences, dispatches) in [
        (insert(event.clone()), true, false),
        (modify(event.clone(), event.clone()), false, false),
        (remove(event), false, false),
        (insert(head("yes")), false, true),
        (insert(head("no")), false, false),
        (insert(of_kind("HEAD")), false, false),
        (modify(head("no"), head("yes")), false, true),
        (modify(head("yes"), head("yes")), false, true),
        (modify(head("yes"), head("no")), false, false),
        (remove(head("yes")), false, false),
        (insert(of_kind("CURSOR")), false, false),
        (insert(json!({"PK": {"S": "ID#shop#1"}})), false, false),
    ] {
        assert_eq!(
            Definition::resequence().filters().pass(&record),
            resequences,
            "{record}"
        );
        assert_eq!(
            Definition::dispatch().filters().pass(&record),
            dispatches,
            "{record}"
        );
    }
}

fn valid() -> Value {
    json!({
        "Name": "p", "RoleArn": "arn:aws:iam::1:role/r", "Source": "${stream_arn}",
        "SourceParameters": {"DynamoDBStreamParameters": {"StartingPosition": "LATEST"}},
        "Target": "${function_arn}",
        "TargetParameters": {"LambdaFunctionParameters": {"InvocationType": "REQUEST_RESPONSE"}}
    })
}

#[test]
fn what_is_left_out_has_awss_defaults() {
    let definition = Definition::parse("p.json", &valid().to_string()).unwrap();
    let stream = definition.stream();
    assert_eq!(stream.batch_size, 100);
    assert_eq!(stream.maximum_batching_window_in_seconds, 0);
    assert_eq!(stream.maximum_retry_attempts, -1);
    assert_eq!(stream.maximum_record_age_in_seconds, -1);
    assert_eq!(stream.parallelization_factor, 1);
    assert_eq!(stream.on_partial_batch_item_failure, None);
    assert_eq!(definition.desired_state, DesiredState::Running);
    assert!(definition.filters().pass(&json!({})));
}

/// Sets one place of a valid definition and expects a refusal there. `schema` tells whether the schema refuses it as well.
#[track_caller]
fn refused(parent: &str, key: &str, value: Value, schema: bool, expected: &str) {
    let mut json = valid();
    json.pointer_mut(parent).unwrap()[key] = value;
    let error = Definition::parse("p.json", &json.to_string()).unwrap_err();
    assert_eq!(error.to_string(), format!("p.json: {expected}"));
    let validator = jsonschema::validator_for(&committed_schema()).unwrap();
    assert_eq!(validator.is_valid(&json), !schema, "{json}");
}

#[test]
fn a_mistake_is_named_with_its_place() {
    const STREAM: &str = "/SourceParameters/DynamoDBStreamParameters";
    refused(
        "",
        "Name",
        json!("a b"),
        true,
        "/Name: must be 1 to 64 letters, digits, `.`, `-` or `_`",
    );
    refused(
        "",
        "DesiredState",
        json!("STOPPED"),
        false,
        "/DesiredState: a stopped pipe is not run: write RUNNING, or leave the pipe out",
    );
    refused(
        "",
        "Source",
        json!("my-stream"),
        true,
        "/Source: must be an ARN, or ${stream_arn} for what the deployment fills in",
    );
    refused(
        "",
        "Target",
        json!("${stream_arn}"),
        true,
        "/Target: must be an ARN, or ${function_arn} for what the deployment fills in",
    );
    refused(
        STREAM,
        "DeadLetterConfig",
        json!({"Arn": "queue"}),
        true,
        "/SourceParameters/DynamoDBStreamParameters/DeadLetterConfig/Arn: must be an ARN, or ${dead_letter_arn} for what the deployment fills in",
    );
    refused(
        STREAM,
        "BatchSize",
        json!(0),
        true,
        "/SourceParameters/DynamoDBStreamParameters/BatchSize: must be from 1 to 10000",
    );
    refused(
        STREAM,
        "MaximumBatchingWindowInSeconds",
        json!(301),
        true,
        "/SourceParameters/DynamoDBStreamParameters/MaximumBatchingWindowInSeconds: must be from 0 to 300",
    );
    refused(
        STREAM,
        "MaximumRetryAttempts",
        json!(-2),
        true,
        "/SourceParameters/DynamoDBStreamParameters/MaximumRetryAttempts: must be from -1 to 10000",
    );
    refused(
        STREAM,
        "MaximumRecordAgeInSeconds",
        json!(604_801),
        true,
        "/SourceParameters/DynamoDBStreamParameters/MaximumRecordAgeInSeconds: must be from -1 to 604800",
    );
    refused(
        STREAM,
        "ParallelizationFactor",
        json!(2),
        true,
        "/SourceParameters/DynamoDBStreamParameters/ParallelizationFactor: must be 1: more gives up the order of a shard",
    );
}

#[test]
fn what_the_runner_would_not_execute_is_refused() {
    for (parent, key, value, place) in [
        (
            "",
            "Enrichment",
            json!("arn:x"),
            "/Enrichment: unknown field `Enrichment`",
        ),
        (
            "/TargetParameters",
            "InputTemplate",
            json!("<$.x>"),
            "/TargetParameters/InputTemplate: unknown field `InputTemplate`",
        ),
        (
            "/TargetParameters/LambdaFunctionParameters",
            "InvocationType",
            json!("FIRE_AND_FORGET"),
            "/TargetParameters/LambdaFunctionParameters/InvocationType: unknown variant `FIRE_AND_FORGET`",
        ),
        (
            "/SourceParameters/DynamoDBStreamParameters",
            "StartingPosition",
            json!("AT_TIMESTAMP"),
            "/SourceParameters/DynamoDBStreamParameters/StartingPosition: unknown variant `AT_TIMESTAMP`",
        ),
    ] {
        let mut json = valid();
        json.pointer_mut(parent).unwrap()[key] = value;
        let error = Definition::parse("p.json", &json.to_string())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(&format!("p.json: {place}")), "{error}");
        let validator = jsonschema::validator_for(&committed_schema()).unwrap();
        assert!(!validator.is_valid(&json), "{json}");
    }
    let error = Definition::parse("p.json", "{} x").unwrap_err().to_string();
    assert!(
        error.starts_with("p.json: the document: missing field `Name`"),
        "{error}"
    );
}

#[test]
fn a_filter_is_refused_where_aws_would_refuse_or_ignore_it() {
    let refused_filter = |pattern: &str, problem: &str| {
        let criteria = json!({"Filters": [{"Pattern": pattern}]});
        let expected = format!("/SourceParameters/FilterCriteria/Filters/0/Pattern: {problem}");
        refused(
            "/SourceParameters",
            "FilterCriteria",
            criteria,
            false,
            &expected,
        );
    };
    refused_filter(
        r#"{"eventName": ["INSERT"]}"#,
        "a pipe cannot filter by `eventName`: filter by what is in `dynamodb`, e.g. an insert has no `OldImage`",
    );
    refused_filter(
        "{",
        "must be an event pattern as JSON text: EOF while parsing an object at line 1 column 1",
    );
    refused_filter(
        r#"{"dynamodb": "x"}"#,
        r#"dynamodb: must be a list of values or an object of members: write ["x"]"#,
    );
    let six = json!({"Filters": vec![json!({"Pattern": r#"{"a": [1]}"#}); 6]});
    refused(
        "/SourceParameters",
        "FilterCriteria",
        six,
        true,
        "/SourceParameters/FilterCriteria/Filters: at most 5 filters: join patterns with `$or`",
    );
    let long = json!({"Filters": [{"Pattern": format!(r#"{{"a": ["{}"]}}"#, "x".repeat(4096))}]});
    refused(
        "/SourceParameters",
        "FilterCriteria",
        long,
        true,
        "/SourceParameters/FilterCriteria/Filters/0/Pattern: must be at most 4096 characters",
    );
}
