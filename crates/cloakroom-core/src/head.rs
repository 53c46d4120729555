//! The head of a stream: its release watermark, and what the resequencer must remember between two looks.

use serde::{Deserialize, Serialize};

use crate::position::Position;
use crate::time::Timestamp;

/// The release watermark of a stream. All positions up to it are released and frozen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// The last released position; `None` before the first release.
    pub position: Option<Position>,
    /// Where a dense stream starts.
    pub base: Base,
    /// The hole that a dense stream waits at.
    pub gap: Option<Gap>,
    /// When the resequencer must look again, whether or not anything arrives.
    pub wake_at: Option<Timestamp>,
    /// Everything up to here was removed by retention.
    pub floor: Option<Position>,
}

/// Where a dense stream starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Not known yet; also the state of every stream that is not dense.
    #[default]
    Open,
    /// Chosen; lower numbers that slipped in before the choice are still looked for.
    Fixed(u64),
    /// Known for good.
    Settled(u64),
}

impl Base {
    /// The number, once chosen.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Fixed(number) | Self::Settled(number) => Some(number),
        }
    }
}

/// A hole in a dense stream above which events wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing number.
    pub from: u64,
    /// The last missing number.
    pub to: u64,
    /// When the clock started: when the later of the hole's two neighbours was accepted.
    pub since: Timestamp,
    /// When the policy decides.
    pub deadline: Timestamp,
    /// The deadline passed and the policy is to wait (or the hole is too wide to skip).
    pub stalled: bool,
    /// The hole is being passed over, from this number on: to its end, whatever the clock says. The numbers from here to
    /// below `from` have their placeholders already, and still want their gap event.
    pub skipping_from: Option<u64>,
}

impl Head {
    /// Whether `position` is released, and so frozen.
    pub fn covers(&self, position: &Position) -> bool {
        self.position.as_ref().is_some_and(|head| position <= head)
    }

    /// Whether this is the head of a `version` stream, for whoever has no rule of it: of all streams only these release
    /// plain numbers without a base.
    pub fn is_of_versions(&self) -> bool {
        let number = |position: &Position| {
            let text = position.as_str();
            text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('-')
        };
        self.base == Base::Open && self.position.as_ref().is_some_and(number)
    }

    /// Whether `position` is in the part that retention removed.
    pub fn is_at_or_below_floor(&self, position: &Position) -> bool {
        self.floor.as_ref().is_some_and(|floor| position <= floor)
    }

    /// Whether the stream waits at a gap whose deadline has passed.
    pub fn is_stalled(&self) -> bool {
        self.gap.as_ref().is_some_and(|gap| gap.stalled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heads_of_versions_are_numbers_without_a_base() {
        let check = |position: Option<&str>, base, expected| {
            let position = position.map(|text| Position::parse(text).expect("it is a position"));
            let head = Head {
                position,
                base,
                ..Head::default()
            };
            assert_eq!(head.is_of_versions(), expected, "{head:?}");
        };
        check(None, Base::Open, false);
        check(Some("00000000000000000007"), Base::Open, true);
        check(Some("00000000000000000007.5"), Base::Open, true);
        check(Some("00000000000000000007+00000001"), Base::Open, true);
        check(Some("00000000000000000007"), Base::Settled(1), false);
        // Dense or sparse: placed late before the first number.
        check(Some("+00000001"), Base::Open, false);
        check(
            Some("00000001700000000000-9f86d081884c7d65"),
            Base::Open,
            false,
        );
    }
}
