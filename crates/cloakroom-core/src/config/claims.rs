//! `claims`: how payloads are stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Bytes, DurationText};

/// How payloads are stored and fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// `always`: every payload goes to the claim store. The alternative is the key `above`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = StoreWord::Always))]
    pub(super) store: Option<StoreWord>,
    /// Only payloads above this size go to the claim store; smaller ones live in the ledger entry alone. Takes the
    /// place of `store`. At most 256KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"8KiB")]
    pub(super) above: Option<Bytes>,
    /// Payloads up to this size also travel inside the event. At most 256KiB; 0B keeps every payload out.
    pub inline_max: Bytes,
    /// Payloads above this size are refused with 413.
    pub max_payload: Bytes,
    /// How long a claim stays readable once every subscription has settled its event, and how long a webhook that
    /// comes again is recognised.
    pub retention: DurationText,
    /// How long the URL of a claim is valid. At most 7d.
    pub url_ttl: DurationText,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            store: None,
            above: None,
            inline_max: Bytes::kib(16),
            max_payload: Bytes::gib(5),
            retention: DurationText::from_secs(30 * 86_400),
            url_ttl: DurationText::from_secs(3_600),
        }
    }
}

impl Claims {
    /// Which payloads go to the claim store.
    pub fn store(&self) -> Store {
        self.above
            .map_or(Store::Always, |above| Store::Above(above.get()))
    }
}

/// Which payloads go to the claim store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// All of them.
    Always,
    /// Those of more bytes than this.
    Above(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(super) enum StoreWord {
    /// Every payload.
    Always,
}
