//! Requests in every form, answered as the server answers them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_engine::record::Record;
use serde_json::{Value, json};

use super::given::{CONFIG, World, webhook};
use crate::role::Role;

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// The payload hash of the only event.
fn stored(world: &World) -> Vec<String> {
    let records = world.ledger.dump().into_iter();
    let hashes = records.filter_map(|record| match record {
        Record::Event(event) => Some(event.payload()?.sha256.to_string()),
        _ => None,
    });
    hashes.collect()
}

fn hash(bytes: &[u8]) -> String {
    cloakroom_core::event::Sha256::of(bytes).to_string()
}

#[tokio::test]
async fn an_http_api_gets_a_receipt() {
    let world = World::new();
    let answer = world.call(Role::Ingest, webhook("A", 1)).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    assert_eq!(answer["headers"]["content-type"], "application/json");
    assert_eq!(answer["isBase64Encoded"], false);
    assert_eq!(body(&answer)["stream"], "orders/A");
    let again = world.call(Role::Ingest, webhook("A", 1)).await;
    assert_eq!(again["statusCode"], 200);
    assert_eq!(body(&again)["status"], "duplicate");
    assert!(world.doorbells.take().is_empty() && world.timers.take().is_empty());
}

#[tokio::test]
async fn base64_is_undone_before_anything_looks_at_the_body() {
    let world = World::new();
    let bytes = b"\xff\x00 not text";
    let mut event = webhook("A", 1);
    event["body"] = STANDARD.encode(bytes).into();
    event["isBase64Encoded"] = true.into();
    let answer = world.call(Role::Ingest, event.clone()).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    assert_eq!(stored(&world), [hash(bytes)]);
    event["body"] = "%%%".into();
    let answer = world.call(Role::Ingest, event).await;
    assert_eq!(answer["statusCode"], 400, "{answer}");
}

#[tokio::test]
async fn a_stage_and_the_path_of_the_public_address_are_not_part_of_the_path() {
    let config = format!("{CONFIG}server: {{ public_url: \"https://api.example/hooks\" }}\n");
    let world = World::with(&config);
    let paths = [
        ("prod", "/prod/in/orders"),
        ("prod", "/hooks/prod/in/orders"),
        ("$default", "/hooks/in/orders"),
    ];
    for (n, (stage, path)) in (1..).zip(paths) {
        let mut event = webhook("A", n);
        event["rawPath"] = path.into();
        event["requestContext"]["stage"] = stage.into();
        let answer = world.call(Role::Ingest, event).await;
        assert_eq!(answer["statusCode"], 202, "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_function_url_is_answered_the_same() {
    let world = World::new();
    let mut event = webhook("A", 1);
    event["requestContext"]["domainName"] = "abc.lambda-url.eu-west-1.on.aws".into();
    event["requestContext"]["authentication"] = Value::Null;
    event["cookies"] = json!(["a=1", "b=2"]);
    event.as_object_mut().unwrap().remove("body");
    let answer = world.call(Role::Ingest, event).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    assert_eq!(stored(&world), [hash(b"")]);
}

fn balanced(multi: bool) -> Value {
    let (headers, query) = match multi {
        false => ("headers", "queryStringParameters"),
        true => ("multiValueHeaders", "multiValueQueryStringParameters"),
    };
    let value = |text: &str| match multi {
        false => json!(text),
        true => json!([text]),
    };
    let mut event = json!({
        "requestContext": {"elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/lambda/49e9d65c45c6791a",
        }},
        "httpMethod": "POST", "path": "/in/orders", "body": "{}", "isBase64Encoded": false,
    });
    event[query] = json!({"b": value("1%202"), "a": value("")});
    event[headers] = json!({
        "webhook-id": value("A-1"), "x-key": value("A"), "x-seq": value("1"), "content-type": value("application/json"),
    });
    event
}

#[tokio::test]
async fn a_load_balancer_is_answered_in_the_form_it_asked_in() {
    for multi in [false, true] {
        let world = World::new();
        let answer = world.call(Role::Ingest, balanced(multi)).await;
        assert_eq!(answer["statusCode"], 202, "{answer}");
        assert_eq!(answer["statusDescription"], "202 Accepted");
        assert_eq!(body(&answer)["stream"], "orders/A");
        match multi {
            false => assert_eq!(answer["headers"]["content-type"], "application/json"),
            true => assert_eq!(
                answer["multiValueHeaders"]["content-type"],
                json!(["application/json"])
            ),
        }
        assert_eq!(answer.get("headers").is_none(), multi);
    }
}

#[tokio::test]
async fn a_signature_over_the_address_sees_the_query_as_it_was_sent() {
    use crate::ingest::request_of;
    let event = balanced(true);
    let request = request_of(event).unwrap();
    assert_eq!(request.uri(), "/in/orders?b=1%202&a");
    let mut event = webhook("A", 1);
    event["rawQueryString"] = "z=%41&a=1&z=2".into();
    let request = request_of(event).unwrap();
    assert_eq!(request.uri(), "/in/orders?z=%41&a=1&z=2");
}

#[tokio::test]
async fn refusals_are_problems_as_the_server_tells_them() {
    let world = World::new();
    let mut event = webhook("A", 1);
    event["rawPath"] = "/in/nobody".into();
    let answer = world.call(Role::Ingest, event).await;
    assert_eq!(answer["statusCode"], 404);
    assert_eq!(
        answer["headers"]["content-type"],
        "application/problem+json"
    );
    let config = format!("claims: {{ max_payload: 3B, inline_max: 3B }}\n{CONFIG}");
    let world = World::with(&config);
    let answer = world.call(Role::Ingest, webhook("A", 1)).await;
    assert_eq!(answer["statusCode"], 413, "{answer}");
}

#[tokio::test]
async fn without_a_token_there_is_no_api() {
    let get = |path: &str| {
        let mut event = webhook("A", 1);
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["method"] = "GET".into();
        event["headers"]["authorization"] = "Bearer a token of some length".into();
        event
    };
    let open = World::new();
    assert_eq!(
        open.call(Role::Ingest, get("/v1/streams")).await["statusCode"],
        404
    );
    assert_eq!(
        open.call(Role::Ingest, get("/healthz")).await["statusCode"],
        200
    );
    let config = format!("{CONFIG}server: {{ admin_token: env:ADMIN_TOKEN }}\n");
    let guarded = World::with(&config);
    let answer = guarded.call(Role::Ingest, get("/v1/streams")).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
}

#[tokio::test]
async fn what_an_operator_asks_for_is_rung() {
    let config = format!("{CONFIG}server: {{ admin_token: env:ADMIN_TOKEN }}\n");
    let world = World::with(&config);
    world.release(&[("A", 1)]).await;
    let failed = cloakroom_engine::ports::Outcome::Gone {
        reason: "410".to_owned(),
    };
    world.consumer.outcomes.lock().unwrap().push_back(failed);
    let bells = world
        .call(Role::Dispatch, world.changes("HEAD").into())
        .await;
    assert_eq!(super::given::failures(&bells), [""; 0]);
    world
        .call(Role::Deliver, super::given::batch(&world.doorbells.take()))
        .await;
    let mut event = webhook("A", 1);
    event["rawPath"] = "/v1/subscriptions/billing/enable".into();
    event["headers"]["authorization"] = "Bearer a token of some length".into();
    let answer = world.call(Role::Ingest, event).await;
    assert!(answer["statusCode"].as_u64().unwrap() < 300, "{answer}");
    let bells = world.doorbells.take();
    assert_eq!(bells.len(), 1);
    world.call(Role::Deliver, super::given::batch(&bells)).await;
    assert_eq!(world.consumer.taken(), ["A-1"]);
}

#[tokio::test]
async fn what_is_no_request_is_an_error_that_says_so() {
    let world = World::new();
    let function = world.function(Role::Ingest).await;
    for (event, found) in [
        (json!({"Records": []}), "none of them"),
        (
            json!({"version": "1.0", "httpMethod": "GET", "requestContext": {}}),
            "payload format 1.0",
        ),
        (json!({"requestContext": {"http": {}}}), "not readable"),
    ] {
        let error = function.handle(event, None).await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
}
