//! Durations, sizes and rates, as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::text::{Mistake, TextSchema, echo, text_value};

/// A span of time: a whole number and one of `ms`, `s`, `m`, `h`, `d`, e.g. `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationText(Duration);

impl DurationText {
    /// From whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span itself.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// Units of time in milliseconds, the largest first.
const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// No duration is longer than this: a hundred years keep every sum of times in range.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

impl FromStr for DurationText {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let millis = measure(text, &TIME_UNITS, "duration", "ms, s, m, h or d", "30s")?;
        let span = Duration::from_millis(millis);
        if span > DURATION_MAX {
            return Err(Mistake::new(
                format!("{} is too long", echo(text)),
                "write at most 36600d",
            ));
        }
        Ok(Self(span))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = if millis == 0 {
            ("s", 1)
        } else {
            largest(millis, &TIME_UNITS)
        };
        write!(f, "{}{unit}", millis / size)
    }
}

text_value!(
    DurationText,
    TextSchema {
        format: "cloakroom-duration",
        pattern: "^[0-9]+ ?(ms|s|m|h|d)$",
        examples: &["30s", "10m", "30d", "500ms"]
    }
);

/// A number of bytes: a whole number and one of `B`, `KB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`, e.g. `16KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(u64);

impl Bytes {
    /// From a number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From KiB (1,024 bytes).
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// From MiB (1,048,576 bytes).
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// From GiB (1,073,741,824 bytes).
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Units of size in bytes, the largest first.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        measure(
            text,
            &SIZE_UNITS,
            "size",
            "B, KB, KiB, MB, MiB, GB or GiB",
            "16KiB",
        )
        .map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = if self.0 == 0 {
            ("B", 1)
        } else {
            largest(self.0, &SIZE_UNITS)
        };
        write!(f, "{}{unit}", self.0 / size)
    }
}

text_value!(
    Bytes,
    TextSchema {
        format: "cloakroom-size",
        pattern: "^[0-9]+ ?(B|KB|KiB|MB|MiB|GB|GiB)$",
        examples: &["16KiB", "5GiB"]
    }
);

/// A rate: a whole number per second, minute or hour, e.g. `50/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: &'static str,
    per: Duration,
}

impl Rate {
    /// How many in each [`Rate::per`]. At least 1.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The span the count is for: a second, a minute or an hour.
    pub const fn per(self) -> Duration {
        self.per
    }

    /// The even distance between two.
    pub fn interval(self) -> Duration {
        self.per / self.count
    }
}

const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];
const RATE_HINT: &str = "write a whole number per s, m or h, e.g. `50/s`";

impl FromStr for Rate {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mistake = || Mistake::new(format!("{} is not a rate", echo(text)), RATE_HINT);
        let (count, unit) = text.split_once('/').ok_or_else(mistake)?;
        let count: u32 = digits(count.trim_end())
            .and_then(|count| count.parse().ok())
            .ok_or_else(mistake)?;
        if count == 0 {
            return Err(Mistake::new(
                "a rate of 0 lets nothing through",
                "leave `rate` out for no limit, or write `enabled: false` to stop the subscription",
            ));
        }
        let (unit, seconds) = RATE_UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim_start())
            .copied()
            .ok_or_else(mistake)?;
        Ok(Self {
            count,
            unit,
            per: Duration::from_secs(seconds),
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

text_value!(
    Rate,
    TextSchema {
        format: "cloakroom-rate",
        pattern: "^0*[1-9][0-9]* ?/ ?(s|m|h)$",
        examples: &["50/s", "600/m"]
    }
);

/// Reads `<digits><unit>`, with at most one space between, in the smallest unit.
fn measure(
    text: &str,
    units: &[(&str, u64)],
    what: &str,
    list: &str,
    example: &str,
) -> Result<u64, Mistake> {
    let hint = || format!("write a whole number and a unit of {list}, e.g. `{example}`");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if number.is_empty() {
        return Err(Mistake::new(
            format!("{} is not a {what}", echo(text)),
            hint(),
        ));
    }
    if unit.is_empty() {
        return Err(Mistake::new(format!("{} has no unit", echo(text)), hint()));
    }
    if unit.starts_with(['.', ',', '_']) {
        return Err(Mistake::new(
            format!("{} is not a whole number", echo(text)),
            hint(),
        ));
    }
    let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        let meant = likely_unit(unit, units).map(|unit| format!("did you mean `{number}{unit}`?"));
        return Err(Mistake::new(
            format!("{} has an unknown unit", echo(text)),
            meant.unwrap_or_else(hint),
        ));
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*size))
        .ok_or_else(|| Mistake::new(format!("{} is too large a {what}", echo(text)), hint()))
}

/// What people write instead of the units that are known.
const OTHER_UNITS: [(&str, &[&str]); 9] = [
    ("ms", &["msec", "millis", "millisecond", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
    ("B", &["byte", "bytes"]),
    ("KiB", &["k", "ki"]),
    ("MiB", &["m", "mi"]),
    ("GiB", &["g", "gi"]),
];

fn likely_unit<'a>(found: &str, units: &[(&'a str, u64)]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let meant = |unit: &str| {
        unit.to_lowercase() == found
            || OTHER_UNITS
                .iter()
                .any(|(name, others)| *name == unit && others.contains(&found.as_str()))
    };
    units.iter().map(|(unit, _)| *unit).find(|unit| meant(unit))
}

/// The largest unit that divides `value` without a rest. `value` is not 0.
fn largest(value: u64, units: &[(&'static str, u64)]) -> (&'static str, u64) {
    units
        .iter()
        .find(|(_, size)| value.is_multiple_of(*size))
        .copied()
        .expect("the smallest unit divides everything")
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_in_the_largest_whole_unit() {
        for (text, millis, canonical) in [
            ("0s", 0, "0s"),
            ("1500ms", 1_500, "1500ms"),
            ("30 s", 30_000, "30s"),
            ("60s", 60_000, "1m"),
            ("90m", 5_400_000, "90m"),
            ("24h", 86_400_000, "1d"),
            ("36600d", 36_600 * 86_400_000, "36600d"),
        ] {
            let span: DurationText = text.parse().unwrap();
            assert_eq!(span.get(), Duration::from_millis(millis), "{text}");
            assert_eq!(span.to_string(), canonical);
        }
    }

    #[test]
    fn sizes_read_and_write_in_the_largest_whole_unit() {
        for (text, bytes, canonical) in [
            ("0B", 0, "0B"),
            ("1KB", 1_000, "1KB"),
            ("16384B", 16_384, "16KiB"),
            ("1024 MiB", 1 << 30, "1GiB"),
            ("5GB", 5_000_000_000, "5GB"),
            ("1001B", 1_001, "1001B"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!(size.get(), bytes, "{text}");
            assert_eq!(size.to_string(), canonical);
        }
    }

    #[test]
    fn rates_have_an_even_interval() {
        let rate: Rate = "600/m".parse().unwrap();
        assert_eq!(
            (rate.count(), rate.per(), rate.interval()),
            (600, Duration::from_secs(60), Duration::from_millis(100))
        );
        assert_eq!(rate.to_string(), "600/m");
    }

    #[test]
    fn wrong_measures_say_what_to_write() {
        let hint = |text: &str| text.parse::<DurationText>().unwrap_err().to_string();
        assert_eq!(
            hint("10min"),
            "`10min` has an unknown unit; did you mean `10m`?"
        );
        assert_eq!(
            hint("30"),
            "`30` has no unit; write a whole number and a unit of ms, s, m, h or d, e.g. `30s`"
        );
        assert!(hint("1.5h").contains("is not a whole number"));
        assert!(hint("").contains("is not a duration"));
        assert!(hint("99999999999999999999d").contains("too large"));
        assert!(hint("36601d").contains("too long"));
        let size = |text: &str| text.parse::<Bytes>().unwrap_err().to_string();
        assert_eq!(
            size("16kib"),
            "`16kib` has an unknown unit; did you mean `16KiB`?"
        );
        assert_eq!(
            size("16k"),
            "`16k` has an unknown unit; did you mean `16KiB`?"
        );
        for text in ["50", "50/d", "x/s", "0/s", "-1/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
