//! AWS's limits, and what the runner does not execute.

use std::ops::RangeInclusive;

use cloakroom_core::pattern::{Dialect, Pattern};
use serde_json::Value;

use super::{Definition, DefinitionError, DesiredState, FilterCriteria};
use crate::filter::Filters;

const STREAM: &str = "/SourceParameters/DynamoDBStreamParameters";
const FILTERS: &str = "/SourceParameters/FilterCriteria/Filters";

/// The most filters of one pipe.
const FILTERS_MAX: usize = 5;

/// The longest pattern, in characters.
const PATTERN_MAX_CHARS: usize = 4096;

/// What the pages "Event filtering in Amazon EventBridge Pipes" says no pattern can use, since the poller adds it.
const NOT_FILTERABLE: [&str; 8] = [
    "awsRegion",
    "eventSource",
    "eventSourceARN",
    "eventVersion",
    "eventID",
    "eventName",
    "invokeIdentityArn",
    "eventSourceKey",
];

pub(super) fn check(file: &str, definition: &Definition) -> Result<(), DefinitionError> {
    let refuse = |pointer: String, problem: String| DefinitionError::new(file, pointer, problem);
    name(&definition.name).map_err(|problem| refuse("/Name".into(), problem))?;
    if let Some(text) = &definition.description
        && text.chars().count() > 512
    {
        return Err(refuse(
            "/Description".into(),
            "must be at most 512 characters".into(),
        ));
    }
    if definition.desired_state == DesiredState::Stopped {
        return Err(refuse(
            "/DesiredState".into(),
            "a stopped pipe is not run: write RUNNING, or leave the pipe out".into(),
        ));
    }
    let dead_letters = definition.stream().dead_letter_config.as_ref();
    let queue = format!("{STREAM}/DeadLetterConfig/Arn");
    for (pointer, arn, placeholder) in [
        ("/RoleArn", Some(&definition.role_arn), "${role_arn}"),
        ("/Source", Some(&definition.source), "${stream_arn}"),
        ("/Target", Some(&definition.target), "${function_arn}"),
        (
            &queue,
            dead_letters.map(|config| &config.arn),
            "${dead_letter_arn}",
        ),
    ] {
        if arn.is_some_and(|arn| arn != placeholder && !arn.starts_with("arn:")) {
            let problem =
                format!("must be an ARN, or {placeholder} for what the deployment fills in");
            return Err(refuse(pointer.to_owned(), problem));
        }
    }
    numbers(definition).map_err(|(field, problem)| refuse(format!("{STREAM}/{field}"), problem))?;
    filters(file, definition.source_parameters.filter_criteria.as_ref())?;
    Ok(())
}

/// Compiles the filters.
pub(super) fn filters(
    file: &str,
    criteria: Option<&FilterCriteria>,
) -> Result<Filters, DefinitionError> {
    let listed = criteria.map_or(&[][..], |criteria| &criteria.filters);
    if listed.len() > FILTERS_MAX {
        let problem = format!("at most {FILTERS_MAX} filters: join patterns with `$or`");
        return Err(DefinitionError::new(file, FILTERS, problem));
    }
    let patterns = listed.iter().enumerate().map(|(index, filter)| {
        pattern(&filter.pattern).map_err(|problem| {
            DefinitionError::new(file, format!("{FILTERS}/{index}/Pattern"), problem)
        })
    });
    Ok(Filters::new(patterns.collect::<Result<_, _>>()?))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    if text.chars().count() > PATTERN_MAX_CHARS {
        return Err(format!("must be at most {PATTERN_MAX_CHARS} characters"));
    }
    let json: Value = serde_json::from_str(text)
        .map_err(|error| format!("must be an event pattern as JSON text: {error}"))?;
    let pattern = Pattern::parse(&json, Dialect::Pipes).map_err(|error| error.to_string())?;
    match NOT_FILTERABLE.iter().find(|field| pattern.reads(field)) {
        None => Ok(pattern),
        Some(field) => Err(format!(
            "a pipe cannot filter by `{field}`: filter by what is in `dynamodb`, e.g. an insert has no `OldImage`"
        )),
    }
}

fn name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        Ok(())
    } else {
        Err("must be 1 to 64 letters, digits, `.`, `-` or `_`".into())
    }
}

fn numbers(definition: &Definition) -> Result<(), (&'static str, String)> {
    let stream = definition.stream();
    let within = |field, value: i64, range: RangeInclusive<i64>| {
        if range.contains(&value) {
            return Ok(());
        }
        let problem = format!("must be from {} to {}", range.start(), range.end());
        Err((field, problem))
    };
    within("BatchSize", stream.batch_size.into(), 1..=10_000)?;
    within(
        "MaximumBatchingWindowInSeconds",
        stream.maximum_batching_window_in_seconds.into(),
        0..=300,
    )?;
    within(
        "MaximumRetryAttempts",
        stream.maximum_retry_attempts.into(),
        -1..=10_000,
    )?;
    within(
        "MaximumRecordAgeInSeconds",
        stream.maximum_record_age_in_seconds.into(),
        -1..=604_800,
    )?;
    if stream.parallelization_factor == 1 {
        Ok(())
    } else {
        let problem = "must be 1: more gives up the order of a shard";
        Err(("ParallelizationFactor", problem.into()))
    }
}
