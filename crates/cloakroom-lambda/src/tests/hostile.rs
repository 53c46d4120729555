//! Events that are nearly right, and events that are nothing of the kind: no function panics, and none is the worse for it.

use std::time::Duration;

use cloakroom_engine::ports::Clock as _;
use serde_json::{Value, json};

use super::given::{World, batch, failures, webhook};
use crate::role::Role;

/// How many events each function is sent for each right one.
const EVENTS: usize = 300;

/// Xorshift: the same events in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    /// A value that nobody expects.
    fn value(&mut self) -> Value {
        let strange = [
            "",
            "\0",
            "%zz",
            "../..",
            "evt_",
            "STREAM#",
            "STREAM#orders/A",
            "HEAD",
            "EVENT#",
            "EVENT#\u{1f600}",
            "é",
            "-1",
            "1e999",
            "aws:sqs",
            "2.0",
            "{}",
            "[]",
            "null",
            "\"",
            "AAAA=",
            "staging/",
            "POST",
            "application/json",
            "x".repeat(3_000).leak(),
        ];
        match self.below(8) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => json!(u64::MAX),
            3 => json!(-1),
            4 => json!([]),
            5 => json!({}),
            6 => (0..100).fold(json!(1), |inner, _| json!([inner])),
            _ => Value::from(strange[self.below(strange.len())]),
        }
    }

    /// Changes one place of it.
    fn bend(&mut self, value: &mut Value) {
        let deeper = self.below(8) > 0;
        match value {
            Value::Object(members) if deeper && !members.is_empty() => {
                let at = self.below(members.len());
                let name = members.keys().nth(at).unwrap().clone();
                if self.below(12) == 0 {
                    members.remove(&name);
                } else {
                    self.bend(&mut members[&name]);
                }
            }
            Value::Array(elements) if deeper && !elements.is_empty() => {
                let at = self.below(elements.len());
                match self.below(12) {
                    0 => drop(elements.remove(at)),
                    1 => elements.push(elements[at].clone()),
                    _ => self.bend(&mut elements[at]),
                }
            }
            // Messages carry JSON in text.
            Value::String(text) if deeper && text.starts_with(['{', '[']) => {
                if let Ok(mut inner) = serde_json::from_str(text) {
                    self.bend(&mut inner);
                    *text = inner.to_string();
                }
            }
            Value::String(text) if deeper && self.below(2) == 0 => {
                let at = self.below(text.chars().count() + 1);
                let odd = ['\0', '#', '/', '%', '"', '\u{202e}', '9'][self.below(7)];
                *text = text
                    .chars()
                    .take(at)
                    .chain([odd])
                    .chain(text.chars().skip(at))
                    .collect();
            }
            other => *other = self.value(),
        }
    }
}

/// Every function with an event that is right for it.
async fn right(world: &World) -> Vec<(Role, Value)> {
    world
        .release(&[("A", 1), ("A", 2), ("B", 1), ("C", 2)])
        .await;
    let heads = world.changes("HEAD");
    world.call(Role::Dispatch, heads.clone().into()).await;
    let (bells, timers) = (world.doorbells.take(), world.timers.take());
    assert!(!bells.is_empty() && !timers.is_empty());
    let balancer = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}},
        "httpMethod": "POST", "path": "/in/orders", "queryStringParameters": {"a": "b%20c"},
        "multiValueHeaders": {"webhook-id": ["m"], "x-key": ["A"], "x-seq": ["9"]},
        "body": "e30=", "isBase64Encoded": true,
    });
    let object = json!({"key": "staging/orders/x", "size": 5});
    vec![
        (Role::Ingest, webhook("A", 3)),
        (Role::Ingest, balancer),
        (Role::Resequence, world.changes("EVENT").into()),
        (Role::Dispatch, heads.into()),
        (Role::Deliver, batch(&bells)),
        (Role::Sweep, batch(&timers)),
        (Role::Sweep, json!({"task": "reclaim"})),
        (
            Role::Upload,
            json!({"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": object}}),
        ),
        (
            Role::Upload,
            json!({"Records": [{"eventSource": "aws:s3", "s3": {"object": object}}]}),
        ),
    ]
}

#[tokio::test]
async fn no_event_breaks_a_function() {
    let world = World::new();
    let mut dice = Dice(0x00c1_0a4b_0033);
    for (role, event) in right(&world).await {
        let function = world.function(role).await;
        let (mut answered, mut refused) = (0, 0);
        for _ in 0..EVENTS {
            let mut bent = event.clone();
            for _ in 0..=dice.below(3) {
                dice.bend(&mut bent);
            }
            let ends = world.clock.now().after(Duration::from_secs(30));
            match function.handle(bent.clone(), Some(ends)).await {
                Ok(answer) => {
                    answered += 1;
                    let status = answer["statusCode"].as_u64().unwrap_or(0);
                    assert!(status < 500, "{bent}\n{answer}");
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
        // Both, or the events are not bent as they should be.
        assert!(answered > 0, "{role:?} takes nothing");
        assert!(
            refused > 0 || role == Role::Sweep,
            "{role:?} refuses nothing"
        );
    }
    // They work as ever.
    world.release(&[("Z", 1)]).await;
    world
        .call(Role::Dispatch, world.changes("HEAD").into())
        .await;
    let answer = world
        .call(Role::Deliver, batch(&world.doorbells.take()))
        .await;
    assert_eq!(failures(&answer), [""; 0]);
    assert!(world.consumer.taken().contains(&"Z-1".to_owned()));
}
