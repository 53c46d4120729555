//! What a target's answer means.

use std::collections::HashSet;

use serde_json::Value;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All of it was dealt with.
    Success,
    /// All but these places of the batch, in order; never empty.
    Partial(Vec<usize>),
    /// Nothing was.
    Failed,
}

impl Answer {
    /// Reads an answer to a batch of these event ids.
    ///
    /// The rules are those of "Reporting batch item failures" on AWS's page about DynamoDB streams as a source: nothing, `null`, and a
    /// missing, null or empty list are a success; an identifier that is null, empty, under another key or not of the batch fails all of it.
    /// Other JSON has no list of failures, so it is a success. What is no JSON at all fails the batch.
    pub(crate) fn read<'a>(
        payload: &[u8],
        event_ids: impl ExactSizeIterator<Item = &'a str>,
    ) -> Self {
        if payload.trim_ascii().is_empty() {
            return Self::Success;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(payload) else {
            return Self::Failed;
        };
        let failures = match answer.get("batchItemFailures") {
            None | Some(Value::Null) => return Self::Success,
            Some(Value::Array(failures)) if failures.is_empty() => return Self::Success,
            Some(Value::Array(failures)) => failures,
            Some(_) => return Self::Failed,
        };
        let named: Option<HashSet<&str>> = failures
            .iter()
            .map(|failure| failure.get("itemIdentifier")?.as_str())
            .collect();
        let Some(named) = named else {
            return Self::Failed;
        };
        let failed: Vec<usize> = event_ids
            .enumerate()
            .filter_map(|(place, id)| named.contains(id).then_some(place))
            .collect();
        if failed.len() == named.len() {
            Self::Partial(failed)
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: &Answer) {
        let batch = ["id1", "id2", "id3", "id4"];
        assert_eq!(
            Answer::read(answer.as_bytes(), batch.into_iter()),
            *expected,
            "{answer}"
        );
    }

    #[test]
    fn no_failures_are_a_success() {
        for answer in [
            "",
            " ",
            "null",
            "{}",
            r#"{"batchItemFailures": []}"#,
            r#"{"batchItemFailures": null}"#,
            r#"{"statusCode": 200}"#,
            r#""done""#,
            "[]",
        ] {
            check(answer, &Answer::Success);
        }
    }

    #[test]
    fn named_records_failed() {
        check(
            r#"{"batchItemFailures": [{"itemIdentifier": "id4"}, {"itemIdentifier": "id2"}, {"itemIdentifier": "id2"}]}"#,
            &Answer::Partial(vec![1, 3]),
        );
    }

    #[test]
    fn what_names_no_record_fails_the_batch() {
        for answer in [
            r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": 2}]}"#,
            r#"{"batchItemFailures": [{"itemId": "id2"}]}"#,
            r#"{"batchItemFailures": [null]}"#,
            r#"{"batchItemFailures": [{"itemIdentifier": "id2"}, {"itemIdentifier": "id5"}]}"#,
            r#"{"batchItemFailures": {"itemIdentifier": "id2"}}"#,
            "{",
        ] {
            check(answer, &Answer::Failed);
        }
    }
}
