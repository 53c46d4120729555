//! What each check finds when something is wrong: each break is made on what was right, and must be found by its check.

use serde_json::{Value, json};

use super::{Deployed, findings};

type Break = fn(&mut Deployed);

/// The check that must find it, what it must say, and the break.
const BREAKS: [(&str, &str, Break); 25] = [
    ("handlers", "\"ingests\"", |d| {
        set(function(d, "ingest"), "handler", "ingests");
        // Every other check looks functions up by their handlers.
        let mut copy = d.rendered.resources.clone();
        copy.retain(|one| one.kind == "aws_lambda_function");
        let mut copy = copy
            .into_iter()
            .find(|one| one.values["handler"] == "ingests");
        if let Some(copy) = &mut copy {
            set(&mut copy.values, "handler", "ingest");
        }
        d.rendered.resources.extend(copy);
    }),
    (
        "variables",
        "deliver reads CLOAKROOM_TIMERS, which is not set",
        |d| {
            variables(d, "deliver")
                .as_object_mut()
                .unwrap()
                .remove("CLOAKROOM_TIMERS");
        },
    ),
    (
        "variables",
        "upload does not read CLOAKROOM_DOORBELLS",
        |d| {
            variables(d, "upload")["CLOAKROOM_DOORBELLS"] = json!("https://queue");
        },
    ),
    ("variables", "sweep has CLOAKROOM_DOORBELLS", |d| {
        let timers = variables(d, "sweep")["CLOAKROOM_TIMERS"].clone();
        variables(d, "sweep")["CLOAKROOM_DOORBELLS"] = timers;
    }),
    ("configuration", "is not the configuration", |d| {
        d.config_text.push('#');
    }),
    ("configuration", "resequence is told of", |d| {
        variables(d, "resequence")["CLOAKROOM_CONFIG"] = json!("s3://elsewhere/config.yaml");
    }),
    ("timeouts", "API Gateway waits 30 s at most", |d| {
        set(function(d, "ingest"), "timeout", 31);
    }),
    ("timeouts", "but deliver has 20 s", |d| {
        set(function(d, "deliver"), "timeout", 20);
    }),
    ("timeouts", "a pipe waits 300 s at most", |d| {
        set(function(d, "dispatch"), "timeout", 301);
    }),
    ("timeouts", "waits 28000 ms", |d| {
        set(
            of(
                d,
                "aws_apigatewayv2_integration",
                "integration_type",
                "AWS_PROXY",
            ),
            "timeout_milliseconds",
            28_000,
        );
    }),
    ("schedules", "rate(1 minute)", |d| {
        set(
            of(
                d,
                "aws_scheduler_schedule",
                "schedule_expression",
                "rate(1 minute)",
            ),
            "schedule_expression",
            "rate(5 minutes)",
        );
    }),
    ("mappings", "messages are invisible for", |d| {
        set(
            of(d, "aws_sqs_queue", "name", "production-doorbells.fifo"),
            "visibility_timeout_seconds",
            1079,
        );
    }),
    ("mappings", "does not take partial answers", |d| {
        set(
            of(d, "aws_lambda_event_source_mapping", "batch_size", 10),
            "function_response_types",
            json!([]),
        );
    }),
    ("mappings", "instead of", |d| {
        d.rendered
            .resources
            .retain(|one| !one.address.ends_with("mapping.doorbells"));
    }),
    ("doorbells", "a dead-letter queue would break", |d| {
        set(
            of(d, "aws_sqs_queue", "name", "production-doorbells.fifo"),
            "redrive_policy",
            "{\"maxReceiveCount\":5}",
        );
    }),
    ("doorbells", "content_based_deduplication", |d| {
        set(
            of(d, "aws_sqs_queue", "name", "production-doorbells.fifo"),
            "content_based_deduplication",
            true,
        );
    }),
    ("pipes", "must be from 1 to 10000", |d| {
        stream(d)["batch_size"] = json!(10_001);
    }),
    ("pipes", "resequence is", |d| {
        stream(d)["maximum_retry_attempts"] = json!(-1);
    }),
    ("table", "instead of", |d| {
        let table = of(d, "aws_dynamodb_table", "hash_key", "PK");
        table["global_secondary_index"][0]["range_key"] = json!("PK");
    }),
    ("table", "entries would expire", |d| {
        let table = of(d, "aws_dynamodb_table", "hash_key", "PK");
        table["ttl"] = json!([{"attribute_name": "expires", "enabled": true}]);
    }),
    ("uploads", "claims expire", |d| {
        let rules = of(
            d,
            "aws_s3_bucket_lifecycle_configuration",
            "bucket",
            "production-claims-000000000000-us-east-1",
        );
        let rule = rules["rule"].as_array_mut().unwrap().iter_mut();
        for rule in rule {
            rule["filter"] = json!([{"prefix": "c/"}]);
        }
    }),
    ("operations", "query takes dynamodb:Query", |d| {
        for role in cloakroom_lambda::Role::ALL {
            policy(d, role.name(), |text| {
                text.replace("\"dynamodb:Query\"", "\"dynamodb:GetItem\"")
            });
        }
    }),
    ("operations", "no code calls for dynamodb:Scan", |d| {
        policy(d, "sweep", |text| {
            text.replace("\"dynamodb:Query\"", "\"dynamodb:Query\",\"dynamodb:Scan\"")
        });
    }),
    (
        "wildcards",
        "ingest is allowed s3:PutObject on everything",
        |d| {
            policy(d, "ingest", |text| {
                text.replace(
                    "\"arn:aws:s3:::production-claims-000000000000-us-east-1/staging/*\"",
                    "\"*\"",
                )
            });
        },
    ),
    (
        "secrets",
        "deliver reads production/billing, but may not",
        |d| {
            policy(d, "deliver", |text| {
                text.replace("production/billing", "production/shop")
            });
        },
    ),
];

/// Makes every break on its own, and sees that its check finds it.
pub(super) fn every_break_is_found(whole: &Deployed) {
    for (check, says, make) in BREAKS {
        let mut broken = whole.clone();
        make(&mut broken);
        let findings = findings(&broken);
        let found = findings
            .iter()
            .any(|finding| finding.starts_with(&format!("{check}: ")) && finding.contains(says));
        assert!(found, "{check} does not say {says:?}: {findings:#?}");
    }
    for (check, _) in super::CHECKS {
        assert!(
            BREAKS.iter().any(|(breaks, ..)| *breaks == check),
            "nothing breaks {check}"
        );
    }
}

fn set(values: &mut Value, attribute: &str, value: impl Into<Value>) {
    values[attribute] = value.into();
}

/// The values of the first resource of a type whose attribute has this value.
fn of<'a>(
    deployed: &'a mut Deployed,
    kind: &str,
    attribute: &str,
    value: impl Into<Value>,
) -> &'a mut Value {
    let value = value.into();
    let mut all = deployed.rendered.resources.iter_mut();
    let found = all.find(|one| one.kind == kind && one.values[attribute] == value);
    &mut found
        .unwrap_or_else(|| panic!("no {kind} has {attribute} = {value}"))
        .values
}

fn function<'a>(deployed: &'a mut Deployed, handler: &str) -> &'a mut Value {
    of(deployed, "aws_lambda_function", "handler", handler)
}

fn variables<'a>(deployed: &'a mut Deployed, handler: &str) -> &'a mut Value {
    &mut function(deployed, handler)["environment"][0]["variables"]
}

/// The parameters of the stream of the pipe `resequence`.
fn stream(deployed: &mut Deployed) -> &mut Value {
    let pipe = of(deployed, "aws_pipes_pipe", "name", "production-resequence");
    &mut pipe["source_parameters"][0]["dynamodb_stream_parameters"][0]
}

/// Changes the text of a function's policy, which must make a difference.
fn policy(deployed: &mut Deployed, handler: &str, change: impl Fn(&str) -> String) {
    let role = format!("production-{handler}");
    let values = of(deployed, "aws_iam_role_policy", "role", role);
    let before = values["policy"].as_str().unwrap().to_owned();
    values["policy"] = json!(change(&before));
}
