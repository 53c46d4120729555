//! What one leaf of an event is compared with.

use std::net::IpAddr;

use serde_json::{Number, Value};

use super::wildcard::Wildcard;

/// The largest magnitude `numeric` compares.
pub(super) const NUMERIC_MAX: f64 = 5.0e9;

/// One value or operator in the list of a member.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Null,
    Bool(bool),
    Number(Exact),
    Text(String),
    Prefix(String),
    Suffix(String),
    /// Folded text, as the other two `…IgnoreCase`.
    EqualsIgnoreCase(String),
    PrefixIgnoreCase(String),
    SuffixIgnoreCase(String),
    Wildcard(Wildcard),
    Numeric(Range),
    Cidr(Cidr),
    Exists(bool),
    /// Holds when none of these does.
    AnythingBut(Vec<Test>),
}

impl Test {
    /// Whether a leaf that is there passes. (A missing one passes `Exists(false)` alone; the caller knows.)
    pub(super) fn holds(&self, leaf: &Value) -> bool {
        match self {
            Self::Null => leaf.is_null(),
            Self::Bool(value) => leaf.as_bool() == Some(*value),
            Self::Number(number) => leaf
                .as_number()
                .is_some_and(|leaf| Exact::from(leaf) == *number),
            Self::Numeric(range) => leaf.as_f64().is_some_and(|leaf| range.contains(leaf)),
            Self::Exists(expected) => *expected,
            Self::AnythingBut(tests) => !tests.iter().any(|test| test.holds(leaf)),
            _ => leaf.as_str().is_some_and(|text| self.holds_for_text(text)),
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::Text(expected) => text == expected,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::EqualsIgnoreCase(folded) => text.chars().map(fold).eq(folded.chars()),
            Self::PrefixIgnoreCase(folded) => begins_with(text.chars().map(fold), folded.chars()),
            Self::SuffixIgnoreCase(folded) => {
                begins_with(text.chars().rev().map(fold), folded.chars().rev())
            }
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(block) => block.contains(text),
            _ => false,
        }
    }
}

/// The text without its case, character by character.
pub(super) fn folded(text: &str) -> String {
    text.chars().map(fold).collect()
}

/// By way of upper case, so that the two lower-case sigmas and the like are one; characters whose other case is several stay.
fn fold(character: char) -> char {
    let upper = single(character.to_uppercase()).unwrap_or(character);
    single(upper.to_lowercase()).unwrap_or(upper)
}

fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

fn begins_with(
    mut text: impl Iterator<Item = char>,
    mut beginning: impl Iterator<Item = char>,
) -> bool {
    beginning.all(|character| text.next() == Some(character))
}

/// A number by its value, whatever its notation. Integers are exact up to 127 bits, which holds every integer JSON text can carry here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Exact {
    Integer(i128),
    Fraction(f64),
}

impl From<&Number> for Exact {
    fn from(number: &Number) -> Self {
        if let Some(integer) = number.as_i128() {
            return Self::Integer(integer);
        }
        let value = number.as_f64().unwrap_or(f64::NAN);
        // 2^126: well within i128, and above it every double is an integer of its own, equal only to itself.
        if value.fract() == 0.0 && value.abs() < 8.507_059_173_023_462e37 {
            Self::Integer(value as i128)
        } else {
            Self::Fraction(value)
        }
    }
}

/// What `numeric` accepts, within ±[`NUMERIC_MAX`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// Bound and whether it belongs to the range.
    pub(super) low: (f64, bool),
    pub(super) high: (f64, bool),
}

impl Range {
    pub(super) const ALL: Self = Self {
        low: (-NUMERIC_MAX, true),
        high: (NUMERIC_MAX, true),
    };

    fn contains(&self, value: f64) -> bool {
        let above = value > self.low.0 || (self.low.1 && value == self.low.0);
        let below = value < self.high.0 || (self.high.1 && value == self.high.0);
        above && below
    }
}

/// A block of IP addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain = bits.bytes().all(|digit| digit.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| plain)?;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    fn contains(&self, text: &str) -> bool {
        match (self.address, text.parse()) {
            (IpAddr::V4(block), Ok(IpAddr::V4(address))) => {
                (block.to_bits() ^ address.to_bits())
                    .checked_shr(32 - self.bits)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(block), Ok(IpAddr::V6(address))) => {
                (block.to_bits() ^ address.to_bits())
                    .checked_shr(128 - self.bits)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}
