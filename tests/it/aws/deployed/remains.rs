//! What is left of a deployment, whatever Terraform says.

use cloakroom_emulators::MiniStack;

use crate::support::http::Request;

/// A list of each kind of thing that the module makes: the service, and the request that asks for it.
const LISTS: [(&str, Ask); 18] = [
    ("dynamodb", Ask::Json("DynamoDB_20120810.ListTables")),
    ("sqs", Ask::Json("AmazonSQS.ListQueues")),
    ("secretsmanager", Ask::Json("secretsmanager.ListSecrets")),
    ("events", Ask::Json("AWSEvents.ListRules")),
    ("events", Ask::Json("AWSEvents.ListEventBuses")),
    ("events", Ask::Json("AWSEvents.ListApiDestinations")),
    ("events", Ask::Json("AWSEvents.ListConnections")),
    ("logs", Ask::Json("Logs_20140328.DescribeLogGroups")),
    ("s3", Ask::Get("/")),
    ("lambda", Ask::Get("/2015-03-31/functions/")),
    ("lambda", Ask::Get("/2015-03-31/event-source-mappings/")),
    ("pipes", Ask::Get("/v1/pipes")),
    ("scheduler", Ask::Get("/schedules")),
    ("scheduler", Ask::Get("/schedule-groups")),
    ("apigateway", Ask::Get("/v2/apis")),
    ("iam", Ask::Form("Action=ListRoles&Version=2010-05-08")),
    ("sns", Ask::Form("Action=ListTopics&Version=2010-03-31")),
    (
        "monitoring",
        Ask::Form("Action=DescribeAlarms&Version=2010-08-01"),
    ),
];

#[derive(Clone, Copy, Debug)]
enum Ask {
    Json(&'static str),
    Get(&'static str),
    Form(&'static str),
}

/// The answers that still name the deployment.
pub(crate) fn of(ministack: &MiniStack, name: &str) -> Vec<String> {
    let answers = LISTS.into_iter().map(|(service, ask)| {
        let answer = answer(ministack, service, ask);
        (format!("{service} {ask:?}"), answer)
    });
    answers
        .filter(|(_, answer)| answer.contains(name))
        .map(|(what, answer)| format!("{what}: {answer}"))
        .collect()
}

/// How many of the lists name the deployment.
pub(crate) fn count(ministack: &MiniStack, name: &str) -> usize {
    of(ministack, name).len()
}

fn answer(ministack: &MiniStack, service: &str, ask: Ask) -> String {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let (request, body) = match ask {
        Ask::Json(target) => {
            let request = Request::post("/").header("x-amz-target", target);
            (
                request.header("content-type", "application/x-amz-json-1.0"),
                "{}",
            )
        }
        Ask::Get(path) => (Request::get(path), ""),
        Ask::Form(form) => {
            let kind = "application/x-www-form-urlencoded";
            (Request::post("/").header("content-type", kind), form)
        }
    };
    let request = request
        .header("authorization", &scope)
        .body(body.as_bytes());
    let answer = request.send(&format!("127.0.0.1:{}", ministack.port()));
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{service} {ask:?}: {}", answer.text());
    answer.text()
}
