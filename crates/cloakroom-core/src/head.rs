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

    /// Whether `position` is in the part that retention removed.
    pub fn is_at_or_below_floor(&self, position: &Position) -> bool {
        self.floor.as_ref().is_some_and(|floor| position <= floor)
    }

    /// Whether the stream waits at a gap whose deadline has passed.
    pub fn is_stalled(&self) -> bool {
        self.gap.as_ref().is_some_and(|gap| gap.stalled)
    }
}
