//! What each role reads of the configuration, and makes of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use cloakroom_core::secret::Secret;
use cloakroom_engine::ports::{Elsewhere, Sink};
use serde_json::json;

use super::given::{World, webhook};
use crate::rings::Queues;
use crate::role::{Role, Variable};
use crate::start::Function;

const CONFIG: &str = r#"
sources:
  orders: { verify: { scheme: github, secrets: [aws-secret:provider] }, key: header:x-key }
subscriptions:
  signed: { sources: [orders], sink: { http: { url: "https://consumer.example/", secret: aws-secret:consumer } } }
  queue: { sources: [orders], sink: { sqs-fifo: { queue: billing.fifo } } }
server: { admin_token: aws-secret:admin }
"#;

/// What a function that starts in this role asks for.
async fn asked(world: &World, role: Role) -> (Function, BTreeSet<String>) {
    let asked = Mutex::new(BTreeSet::new());
    let ask = |what: String| asked.lock().unwrap().insert(what);
    let resolve = |reference: &_| {
        ask(format!("{reference}"));
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        Ok(Secret::new(text.as_bytes().to_vec()))
    };
    let sinks = |sink: &cloakroom_core::config::Sink| {
        ask(sink.name().to_owned());
        let kind = sink.name();
        Ok(Some(Arc::new(Elsewhere { kind }) as Arc<dyn Sink>))
    };
    let has = |variable| role.variables().iter().any(|(read, _)| *read == variable);
    let queues = Queues {
        doorbells: has(Variable::Doorbells).then(|| Arc::clone(&world.doorbells) as _),
        timers: has(Variable::Timers).then(|| Arc::clone(&world.timers) as _),
    };
    let (config, stores) = (&world.config, world.stores());
    let function = Function::assemble(role, config, stores, queues, &resolve, &sinks).await;
    let function = function.unwrap();
    (function, asked.into_inner().unwrap())
}

#[tokio::test]
async fn a_role_asks_for_what_its_work_takes_and_nothing_else() {
    let world = World::with(CONFIG);
    for (role, expected) in [
        (
            Role::Ingest,
            vec!["aws-secret:admin", "aws-secret:provider"],
        ),
        (Role::Upload, vec!["aws-secret:provider"]),
        (Role::Deliver, vec!["aws-secret:consumer", "sqs-fifo"]),
        (Role::Resequence, vec![]),
        (Role::Dispatch, vec![]),
        (Role::Sweep, vec![]),
    ] {
        let (_, asked) = asked(&world, role).await;
        let secrets = role.secrets(&world.config);
        let told: BTreeSet<String> = secrets.iter().map(ToString::to_string).collect();
        let read = asked.iter().filter(|one| one.contains(':')).cloned();
        assert_eq!(told, read.collect(), "{role}: what the table says");
        assert!(asked.iter().eq(expected), "{role}: {asked:?}");
    }
}

#[tokio::test]
async fn whoever_sees_webhooks_does_not_start_when_nothing_verifies_them() {
    let world = World::with("sources: { orders: {} }\n");
    for role in [Role::Ingest, Role::Upload] {
        let (config, stores) = (&world.config, world.stores());
        let resolve = |_: &_| unreachable!("no secret is named");
        let sinks = |_: &_| unreachable!("there is no sink");
        let queues = Queues::default();
        let started = Function::assemble(role, config, stores, queues, &resolve, &sinks).await;
        let error = started.unwrap_err().to_string();
        assert!(error.starts_with("sources.orders.verify: "), "{error}");
    }
}

#[tokio::test]
async fn each_role_works_with_the_queues_that_it_is_told_of() {
    let world = World::new();
    let call = async |role: Role, event| {
        let (function, _) = asked(&world, role).await;
        function.handle(event, None).await.unwrap()
    };
    for n in [1, 3] {
        let answer = call(Role::Ingest, webhook("A", n)).await;
        assert_eq!(answer["statusCode"], 202, "{answer}");
    }
    let all_well = json!({"batchItemFailures": []});
    let entries = world.changes("EVENT").into();
    assert_eq!(call(Role::Resequence, entries).await, all_well);
    assert_eq!(world.timers.take().len(), 1, "the gap's deadline");
    let heads = world.changes("HEAD").into();
    assert_eq!(call(Role::Dispatch, heads).await, all_well);
    let bells = world.doorbells.take();
    assert_eq!(bells.len(), 1);
    let answer = call(Role::Deliver, super::given::batch(&bells)).await;
    assert_eq!(answer, all_well);
    // Its sink asked it to come again later.
    assert_eq!(world.timers.take().len(), 1);
    let summary = call(Role::Sweep, json!({})).await;
    assert_eq!(summary["forgotten"], 2, "{summary}");
    assert_eq!(world.doorbells.take().len(), 1);
}
