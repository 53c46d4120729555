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

/// `tolerance` as the configuration writes durations: `300s`, `5m`, `1500ms`.
pub(super) mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];

    #[expect(clippy::ref_option, reason = "the signature serde's `with` asks for")]
    pub(in crate::verify) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => to.serialize_str(&write(*duration)),
            None => to.serialize_none(),
        }
    }

    pub(in crate::verify) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        read(&text).map(Some).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is no duration; write a number and ms, s, m, h or d, as in `5m`"
            ))
        })
    }

    fn write(duration: Duration) -> String {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = UNITS
            .iter()
            .rev()
            .find(|(_, size)| millis.is_multiple_of(*size))
            .unwrap_or(&UNITS[0]);
        format!("{}{unit}", millis / size)
    }

    fn read(text: &str) -> Option<Duration> {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..])?;
        text[..digits]
            .parse::<u64>()
            .ok()?
            .checked_mul(*size)
            .map(Duration::from_millis)
    }
}
