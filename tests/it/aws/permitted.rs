//! Makes every function do everything that it can do, each behind its role's policies: nothing is refused, and nothing is
//! allowed that was never needed.

mod drive;
mod others;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::deployed::deployment::Deployment;
use crate::support::consumer::Consumer;
use crate::support::server::{SECRET, TEXT_SECRET};

/// The configuration, in which `CONSUMER` stands for the consumer's URL, and `RETENTION` for a time.
const CONFIG: &str = include_str!("everything.yaml");

/// What is allowed and may not be needed here: whose, the action, the end of the resource, and why it is allowed.
const EXCEPTIONS: [(&str, &str, &str, &str); 20] = [
    ("pipe resequence", "dynamodb:ListStreams", "", PIPES_ASK),
    ("pipe dispatch", "dynamodb:ListStreams", "", PIPES_ASK),
    ("resequence", "dynamodb:UpdateItem", "", NAMES),
    ("deliver", "dynamodb:UpdateItem", "", NAMES),
    ("sweep", "dynamodb:UpdateItem", "", NAMES),
    ("deliver", "dynamodb:BatchGetItem", "", NAMES),
    ("upload", "dynamodb:BatchGetItem", "", NAMES),
    ("ingest", "s3:ListBucket", "", GONE),
    ("upload", "s3:ListBucket", "", GONE),
    ("deliver", "s3:ListBucket", "", GONE),
    (
        "deliver",
        "sqs:SendMessage",
        ":cloakroom-doorbells.fifo",
        OUT_OF_TIME,
    ),
    ("ingest", "s3:DeleteObject", "/c/*", AT_ONCE),
    ("ingest", "s3:DeleteObject", "/m/*", AT_ONCE),
    ("ingest", "s3:DeleteObject", "/h/*", AT_ONCE),
    ("upload", "s3:DeleteObject", "*", AT_ONCE),
    ("upload", "s3:GetObject", "/m/*", LOST),
    ("sweep", "s3:AbortMultipartUpload", "/m/*", OLD),
    ("sweep", "s3:GetObject", "/h/*", OLD),
    ("sweep", "s3:GetObject", "/m/*", OLD),
    ("sweep", "sqs:SendMessage", ":cloakroom-timers", LATER),
];
const PIPES_ASK: &str = "EventBridge Pipes asks for it of every role that reads a stream";
const NAMES: &str = "whoever reads a head first looks for the events that were written with it, and removes their names from four on";
const GONE: &str =
    "an object that went away between two requests is to be told from one that is forbidden";
const AT_ONCE: &str =
    "the same webhook of more than 64 KiB twice at the same moment: the second one's copy goes";
const LOST: &str = "whether an upload was completed, when the answer was lost";
const OUT_OF_TIME: &str = "what a call had no time left for is rung for again";
const OLD: &str = "only what is a day old is looked at";
const LATER: &str = "a hold that is still under way when the sweep looks at its stream";

#[test]
fn every_role_may_do_what_it_does_and_nothing_more() {
    let refuses = Arc::new(AtomicBool::new(true));
    let consumer = {
        let refuses = Arc::clone(&refuses);
        Consumer::deciding(move |delivery| {
            let is_bad = String::from_utf8_lossy(&delivery.body).contains("REFUSED");
            let refused = is_bad && refuses.load(Ordering::SeqCst);
            match (refused, delivery.path.as_str()) {
                (false, _) => (200, Vec::new()),
                // Longer than a function waits out by itself.
                (true, "/busy") => (503, vec![("retry-after", "600".to_owned())]),
                (true, _) => (500, Vec::new()),
            }
        })
    };
    let config = |retention: &str| {
        let config = CONFIG.replace("CONSUMER", consumer.url("").trim_end_matches('/'));
        config.replace("RETENTION", retention)
    };
    let deployment = Deployment::apply("minimal", |example, before| {
        others::make(before);
        example.write("cloakroom.yaml", &config("30d"));
    });
    deployment.fill_secrets(&[
        ("everything/provider", SECRET),
        ("everything/consumer", SECRET),
        ("everything/admin", TEXT_SECRET),
    ]);
    vouch_for_the_platform(&deployment);
    deployment.run_pipes();

    drive::orders(&deployment, &consumer);
    drive::large(&deployment);
    drive::uploads(&deployment);
    drive::failures(&deployment, &consumer, &refuses);
    drive::schedules(&deployment);

    // The policies name no single configuration, so they stay as they are.
    deployment.example.write("cloakroom.yaml", &config("1s"));
    deployment.example.apply();
    drive::retention(&deployment);

    deployment.gates.assert_nothing_was_denied();
    let mut unused = Vec::new();
    for (name, gate) in deployment.gates.all() {
        for grant in gate.unused() {
            let is_excused = EXCEPTIONS.iter().any(|(whose, action, end, _)| {
                *whose == name && *action == grant.action && grant.resource.ends_with(end)
            });
            if !is_excused {
                unused.push(format!("{name}: {} on {}", grant.action, grant.resource));
            }
        }
    }
    assert!(
        unused.is_empty(),
        "allowed, and never used:\n{}",
        unused.join("\n")
    );
}

/// What AWS does in the names of the roles: the logs, and the queues that feed functions.
fn vouch_for_the_platform(deployment: &Deployment) {
    let rendered = &deployment.rendered;
    for function in rendered.all("aws_lambda_function") {
        let gate = deployment.gates.of(function.text("handler"));
        let vouch = |action: &str, resource: &str| {
            let vouched = gate.vouch(action, resource);
            vouched.unwrap_or_else(|denied| panic!("{}: {denied}", function.address));
        };
        let group = format!("/aws/lambda/{}", function.text("function_name"));
        let log = rendered.find("aws_cloudwatch_log_group", "name", &group);
        let log = log.expect("every function has a log").text("arn");
        let stream = format!("{}:log-stream:one", log.trim_end_matches(":*"));
        for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
            vouch(action, &stream);
        }
        for mapping in rendered.all("aws_lambda_event_source_mapping") {
            if mapping.text("function_name") == function.text("arn") {
                for action in [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:GetQueueAttributes",
                    "sqs:ChangeMessageVisibility",
                ] {
                    vouch(action, mapping.text("event_source_arn"));
                }
            }
        }
        for invoke in rendered.all("aws_lambda_function_event_invoke_config") {
            if invoke.text("function_name") == function.text("function_name") {
                let failed = &invoke.values["destination_config"][0]["on_failure"][0];
                vouch("sqs:SendMessage", failed["destination"].as_str().unwrap());
            }
        }
    }
    for schedule in rendered.all("aws_scheduler_schedule") {
        let letters = &schedule.values["target"][0]["dead_letter_config"][0]["arn"];
        let gate = deployment.gates.of("scheduler");
        let vouched = gate.vouch("sqs:SendMessage", letters.as_str().unwrap());
        vouched.unwrap_or_else(|denied| panic!("{denied}"));
    }
    for pipe in rendered.all("aws_pipes_pipe") {
        let stream = &pipe.values["source_parameters"][0]["dynamodb_stream_parameters"][0];
        let letters = &stream["dead_letter_config"][0]["arn"];
        let name = pipe.text("name").rsplit('-').next().unwrap();
        let gate = deployment.gates.of(&format!("pipe {name}"));
        let vouched = gate.vouch("sqs:SendMessage", letters.as_str().unwrap());
        vouched.unwrap_or_else(|denied| panic!("{denied}"));
    }
}
