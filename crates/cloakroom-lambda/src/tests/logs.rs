//! What the deployment's alarms look for in the log is what the functions write.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_engine::ports::{Clock as _, Outcome};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::given::{World, batch, webhook};
use crate::Role;

/// The alarms. Of a filter this file reads the comparisons: `$.field = "text"`, or `$.field = *` for any value.
const ALARMS: &str = include_str!("../../../../terraform/alarms.tf");

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn read(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// Name, filter and value of each metric.
fn metrics() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for line in ALARMS.lines() {
        let line = line.replace(r#"\""#, "'");
        let Some((name, rest)) = line.split_once("= { pattern = \"") else {
            continue;
        };
        let (pattern, rest) = rest.split_once('"').unwrap();
        let (_, value) = rest.split_once("value = \"").unwrap();
        let (value, _) = value.split_once('"').unwrap();
        found.push((name.trim().to_owned(), pattern.to_owned(), value.to_owned()));
    }
    found
}

fn matches(pattern: &str, line: &Value) -> bool {
    let comparisons = pattern.trim_matches(['{', '}', ' ']).split("&&");
    comparisons.into_iter().all(|comparison| {
        let (field, wanted) = comparison.split_once('=').unwrap();
        let field = &line[field.trim().strip_prefix("$.").unwrap()];
        match wanted.trim() {
            "*" => !field.is_null(),
            text => field == text.trim_matches('\''),
        }
    })
}

/// A gap that stalls, a delivery that is given up in one attempt or two.
fn config(exhausted: &str, attempts: u32) -> String {
    format!(
        "
sources:
  orders:
    verify: {{ scheme: none }}
    id: header:webhook-id
    key: header:x-key
    order: {{ kind: dense, at: header:x-seq, first: 1, gap: {{ after: 1ms, then: wait }} }}
subscriptions:
  billing:
    sources: [orders]
    sink: {{ sqs-fifo: {{ queue: 'https://sqs.eu-west-1.amazonaws.com/123456789012/billing.fifo' }} }}
    retry: {{ attempts: {attempts}, base: 1s, max: 1s }}
    exhausted: {exhausted}
"
    )
}

/// Everything that goes wrong in a day.
async fn a_bad_day(world: &World) {
    let mut misplaced = webhook("A", 9);
    misplaced["headers"]["x-seq"] = Value::Null;
    misplaced["headers"]
        .as_object_mut()
        .unwrap()
        .remove("x-seq");
    world.call(Role::Ingest, misplaced).await;
    world.accept(&[("A", 1), ("A", 3)]).await;
    // The first look sees the gap, a later one that its time is over.
    world.call(Role::Sweep, json!({})).await;
    let over = world.clock.now().after(Duration::from_millis(5));
    world.clock.sleep_until(over).await;
    world.call(Role::Sweep, json!({})).await;
    let fails = Outcome::Failed {
        reason: "500".to_owned(),
        retry_after: None,
    };
    world.consumer.outcomes.lock().unwrap().push_back(fails);
    let mut bells = batch(&world.doorbells.take());
    world.call(Role::Deliver, bells.clone()).await;
    bells["Records"][0]["body"] = "no doorbell".into();
    world.call(Role::Deliver, bells).await;
}

#[tokio::test]
async fn every_metric_of_the_log_is_told() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(lines.clone())
        .finish();
    let _while = tracing::subscriber::set_default(subscriber);
    for (exhausted, attempts) in [("park", 1), ("dead-letter", 1), ("park", 2)] {
        a_bad_day(&World::with(&config(exhausted, attempts))).await;
    }
    let lines = lines.read();
    let metrics = metrics();
    assert!(metrics.len() >= 3, "{metrics:?}");
    for (name, pattern, value) in metrics {
        let told: Vec<_> = lines
            .iter()
            .filter(|line| matches(&pattern, line))
            .collect();
        assert!(!told.is_empty(), "{name}: no line is {pattern}: {lines:#?}");
        if let Some(field) = value.strip_prefix("$.") {
            assert!(told.iter().all(|line| line[field].is_u64()), "{name}");
        }
    }
    // What is parked is no dead letter.
    let with = |then: &str| lines.iter().filter(|line| line["then"] == then).count();
    assert_eq!((with("park"), with("dead-letter")), (1, 1));
}
