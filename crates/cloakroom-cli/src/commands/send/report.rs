//! What was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::plan::Plan;
use crate::exit::{Exit, Failure};
use crate::output;

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// A status, and what the receipt or the problem says.
    Answered(u16, String),
    /// It was given up on its way.
    NotSent(String),
    /// Nobody answered the call.
    Unreachable(String),
}

impl Answer {
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let meaning = if status.is_success() {
            match (text("status"), text("reason")) {
                (Some(status), Some(reason)) => format!("{status}: {reason}"),
                (Some(status), None) => status.to_owned(),
                (None, _) => String::new(),
            }
        } else {
            text("detail")
                .or(text("title"))
                .unwrap_or_default()
                .to_owned()
        };
        Self::Answered(status.as_u16(), output::printable(meaning))
    }

    fn is_taken(&self) -> bool {
        matches!(self, Self::Answered(200..=299, _))
    }

    fn cells(&self, count: u64) -> Vec<String> {
        let (status, meaning) = match self {
            Self::Answered(status, meaning) => (status.to_string(), meaning.clone()),
            Self::NotSent(problem) => ("-".to_owned(), problem.clone()),
            Self::Unreachable(problem) => ("-".to_owned(), format!("cannot connect: {problem}")),
        };
        vec![status, meaning, count.to_string()]
    }
}

/// How all of them ended.
#[derive(Debug, Default)]
pub(super) struct Report {
    answers: BTreeMap<Answer, u64>,
    pub(super) took: Duration,
}

impl Report {
    pub(super) fn count(&mut self, answer: Answer) {
        *self.answers.entry(answer).or_default() += 1;
    }

    /// All taken, some refused, or nobody there.
    pub(super) fn exit(&self) -> Exit {
        let unreachable = |answer: &Answer| matches!(answer, Answer::Unreachable(_));
        if self.answers.keys().all(Answer::is_taken) {
            Exit::Ok
        } else if self.answers.keys().all(unreachable) {
            Exit::Unreachable
        } else {
            Exit::Failure
        }
    }

    pub(super) fn print(&self, plan: &Plan, seed: u64, json: bool) -> Result<(), Failure> {
        let sent = plan.order.len();
        if json {
            let answers = self.answers.iter().map(|(answer, count)| match answer {
                Answer::Answered(status, meaning) => {
                    json!({"status": status, "answer": meaning, "count": count})
                }
                Answer::NotSent(problem) | Answer::Unreachable(problem) => {
                    json!({"status": null, "answer": problem, "count": count})
                }
            });
            let answers: Vec<Value> = answers.collect();
            let took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
            return output::json(&json!({
                "sent": sent, "doubled": plan.doubled, "lost": plan.lost, "seed": seed, "took_ms": took_ms, "answers": answers,
            }));
        }
        let rows = self
            .answers
            .iter()
            .map(|(answer, count)| answer.cells(*count))
            .collect();
        output::table(&["status", "answer", "count"], rows)?;
        let rate = sent as f64 / self.took.as_secs_f64().max(0.001);
        output::note(format_args!(
            "{sent} sent in {} ({rate:.0}/s), of these {} doubled; {} held back; seed {seed}",
            output::span(self.took),
            plan.doubled,
            plan.lost
        ));
        if self.exit() == Exit::Unreachable {
            let hint = "start the server with `cloakroom serve`, or check the URL";
            return Err(Failure::new(Exit::Unreachable, "nobody answers there").hint(hint));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_and_problems_are_told_in_a_word() {
        let read = |status, body: &str| {
            Answer::read(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        let told = |text: &str, status| Answer::Answered(status, text.to_owned());
        assert_eq!(read(202, r#"{"status":"accepted"}"#), told("accepted", 202));
        let quarantined = r#"{"status":"quarantined","reason":"missing-key"}"#;
        assert_eq!(
            read(202, quarantined),
            told("quarantined: missing-key", 202)
        );
        assert_eq!(
            read(401, r#"{"title":"Unauthorized","detail":"bad signature"}"#),
            told("bad signature", 401)
        );
        assert_eq!(read(502, "<html>"), told("", 502));
    }

    #[test]
    fn the_exit_code_tells_refused_from_unreachable() {
        let mut report = Report::default();
        report.count(Answer::Answered(202, "accepted".to_owned()));
        assert_eq!(report.exit(), Exit::Ok);
        report.count(Answer::Answered(401, "bad signature".to_owned()));
        assert_eq!(report.exit(), Exit::Failure);
        let mut report = Report::default();
        report.count(Answer::Unreachable("connection refused".to_owned()));
        assert_eq!(report.exit(), Exit::Unreachable);
    }
}
