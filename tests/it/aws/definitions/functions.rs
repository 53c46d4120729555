//! Checks of functions.

use std::collections::BTreeSet;

use cloakroom_core::config::Sink;
use cloakroom_lambda::{Role, Variable};
use serde_json::Value;

use super::super::deployed::gates::pipe_of;
use super::Deployed;

/// What a function has left to end in order when a delivery took as long as it may, in seconds.
const SPARE: f64 = 1.0;
/// Where what operators ask for is passed on to.
const QUEUES: [Variable; 2] = [Variable::Doorbells, Variable::Timers];
/// The longest time a function may run, in seconds.
const FUNCTION_MAX: u64 = 900;
/// How long API Gateway waits for an HTTP API's integration, in seconds.
const GATEWAY_MAX: u64 = 30;
/// How long a pipe waits for a function, in seconds.
const PIPE_MAX: u64 = 300;

/// The handlers are exactly the roles.
pub(super) fn handlers(deployed: &Deployed) -> Vec<String> {
    let found = deployed.rendered.all("aws_lambda_function");
    let mut found: Vec<&str> = found.map(|function| function.text("handler")).collect();
    found.sort_unstable();
    let mut expected = Role::ALL.map(Role::name).to_vec();
    expected.sort_unstable();
    let wrong = found != expected;
    wrong
        .then(|| format!("{found:?} instead of {expected:?}"))
        .into_iter()
        .collect()
}

/// Every variable that a role reads is set, and every one that is set is read, with what belongs there.
pub(super) fn variables(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    for role in Role::ALL {
        let set = &deployed.rendered.function(role.name()).values["environment"][0]["variables"];
        let set: BTreeSet<&str> = set
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        // Where operators have no token they ask for nothing, so what they ask for need not be passed on.
        let has_api = deployed.config.server.admin_token.is_some();
        let read: BTreeSet<&str> = role
            .variables()
            .into_iter()
            .filter(|(one, _)| has_api || !(role.answers() && QUEUES.contains(one)))
            .map(|(one, _)| one.name())
            .collect();
        let missing = read.difference(&set);
        findings.extend(missing.map(|name| format!("{role} reads {name}, which is not set")));
        let unread = set.difference(&read);
        findings.extend(unread.map(|name| format!("{role} does not read {name}, which is set")));
        findings.extend(values(deployed, role));
    }
    findings
}

fn values(deployed: &Deployed, role: Role) -> Vec<String> {
    let rendered = &deployed.rendered;
    let set = &rendered.function(role.name()).values["environment"][0]["variables"];
    let mut findings = Vec::new();
    let mut expect = |variable: Variable, expected: &dyn Fn(&str) -> bool| {
        let name = variable.name();
        if let Some(value) = set[name].as_str()
            && !expected(value)
        {
            findings.push(format!("{role} has {name} = {value:?}"));
        }
    };
    let is_queue = |url: &str, fifo: bool| {
        let queue = rendered.find("aws_sqs_queue", "url", url);
        queue.is_some_and(|queue| (queue.values["fifo_queue"] == true) == fifo)
    };
    expect(Variable::Table, &|value| {
        rendered.find("aws_dynamodb_table", "name", value).is_some()
    });
    expect(Variable::Bucket, &|value| {
        rendered.find("aws_s3_bucket", "bucket", value).is_some()
    });
    expect(Variable::Doorbells, &|value| is_queue(value, true));
    expect(Variable::Timers, &|value| is_queue(value, false));
    findings
}

/// All functions are told of one object, which holds the configuration byte for byte.
pub(super) fn configuration(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    for role in Role::ALL {
        let set = &deployed.rendered.function(role.name()).values["environment"][0]["variables"];
        let place = set[Variable::Config.name()].as_str().unwrap_or_default();
        let told = place
            .strip_prefix("s3://")
            .and_then(|place| place.split_once('/'));
        let object = told.and_then(|(bucket, key)| {
            let object = deployed.rendered.find("aws_s3_object", "key", key)?;
            (object.text("bucket") == bucket).then_some(object)
        });
        match object {
            None => findings.push(format!("{role} is told of {place:?}, which is not there")),
            Some(object) if object.values["content"] != *deployed.config_text => {
                findings.push(format!("{place} is not the configuration"));
            }
            Some(_) => {}
        }
    }
    findings
}

/// A function ends before whoever calls it gives up, and a delivery before its function.
pub(super) fn timeouts(deployed: &Deployed) -> Vec<String> {
    let mut findings = Vec::new();
    let timeout = |role: Role| deployed.rendered.function(role.name()).number("timeout");
    let mut at_most = |role: Role, max: u64, who: &str| {
        let timeout = timeout(role);
        if timeout > max {
            findings.push(format!(
                "{role} may take {timeout} s, but {who} {max} s at most"
            ));
        }
    };
    for role in Role::ALL {
        at_most(role, FUNCTION_MAX, "a function may take");
    }
    at_most(Role::Ingest, GATEWAY_MAX, "API Gateway waits");
    for (pipe, role) in [
        ("resequence", Role::Resequence),
        ("dispatch", Role::Dispatch),
    ] {
        let _ = pipe_of(&deployed.rendered, pipe);
        at_most(role, PIPE_MAX, "a pipe waits");
    }
    for integration in deployed.rendered.all("aws_apigatewayv2_integration") {
        let millis = integration.number("timeout_milliseconds");
        if millis > GATEWAY_MAX * 1000 || millis < timeout(Role::Ingest) * 1000 {
            findings.push(format!("{} waits {millis} ms", integration.address));
        }
    }
    let deliver = timeout(Role::Deliver) as f64;
    for (name, subscription) in &deployed.config.subscriptions {
        if let Sink::Http(http) = &subscription.sink {
            let one = http.timeout.get().as_secs_f64();
            if one + SPARE > deliver {
                findings.push(format!(
                    "one delivery to {name} may take {one} s, but deliver has {deliver} s"
                ));
            }
        }
    }
    findings
}

/// The sweep runs each minute, and once a day it reclaims; both in a form that the function takes.
pub(super) fn schedules(deployed: &Deployed) -> Vec<String> {
    let sweep = deployed.rendered.function("sweep").text("arn");
    let mut found: Vec<(String, Value)> = Vec::new();
    for schedule in deployed.rendered.all("aws_scheduler_schedule") {
        let target = &schedule.values["target"][0];
        if target["arn"] == *sweep {
            let input = target["input"].as_str().unwrap_or_default();
            let input = serde_json::from_str(input).unwrap_or(Value::Null);
            found.push((schedule.text("schedule_expression").to_owned(), input));
        }
    }
    let expected = [
        ("rate(1 minute)", serde_json::json!({})),
        ("rate(1 day)", serde_json::json!({"task": "reclaim"})),
    ];
    let missing = expected
        .iter()
        .filter(|(when, input)| !found.iter().any(|(at, with)| at == when && with == input));
    missing
        .map(|(when, input)| format!("nothing calls sweep at {when} with {input}: {found:?}"))
        .collect()
}
