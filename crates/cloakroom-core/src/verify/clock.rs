//! Signed timestamps: how they are written, and how old they may be.

use std::time::Duration;

use super::scheme::TimestampUnit;
use super::verifier::Rejection;
use crate::time::Timestamp;

/// Reads a timestamp. Only digits count: a sign, a blank or a fraction is not what any provider sends.
pub(super) fn parse(text: &str, unit: TimestampUnit) -> Option<Timestamp> {
    let number = || -> Option<i64> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok()
        } else {
            None
        }
    };
    match unit {
        TimestampUnit::Seconds => number()?.checked_mul(1_000_000).map(Timestamp::from_micros),
        TimestampUnit::Milliseconds => number()?.checked_mul(1_000).map(Timestamp::from_micros),
        TimestampUnit::Rfc3339 => Timestamp::parse_rfc3339(text),
    }
}

/// Writes a timestamp as [`parse`] reads it.
pub(super) fn write(time: Timestamp, unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::Seconds => time.as_secs().to_string(),
        TimestampUnit::Milliseconds => time.as_micros().div_euclid(1_000).to_string(),
        TimestampUnit::Rfc3339 => time.to_string(),
    }
}

/// Refuses what was signed too long ago, and what claims to come from the future.
pub(super) fn check(
    signed: Timestamp,
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), Rejection> {
    let (age, lead) = (now.since(signed), signed.since(now));
    if age > tolerance {
        Err(Rejection::Stale {
            age_s: age.as_secs(),
            tolerance_s: tolerance.as_secs(),
        })
    } else if lead > tolerance {
        Err(Rejection::Future {
            lead_s: lead.as_secs(),
            tolerance_s: tolerance.as_secs(),
        })
    } else {
        Ok(())
    }
}
