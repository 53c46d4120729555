//! `sources.*.order`: in which order the events of a stream leave.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::diagnostic::{Mistake, echo};
use super::selector::Selector;
use super::units::DurationText;

/// In which order the events of one stream leave. The default is `arrival`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "OrderText", into = "OrderText")]
pub enum Order {
    /// 1, 2, 3: a hole means that an event is missing.
    Dense {
        /// Where the number is found.
        at: Selector,
        /// The first number of a stream.
        first: First,
        /// What to do about a hole.
        gap: Gap,
        /// What to do with an event that comes after its turn.
        late: Late,
    },
    /// Numbers or timestamps whose holes mean nothing.
    Sparse {
        /// Where the number or timestamp is found.
        at: Selector,
        /// How long an event waits for lower ones.
        hold: DurationText,
        /// What to do with an event that comes after its turn.
        late: Late,
    },
    /// Only the newest matters.
    Version {
        /// Where the version is found.
        at: Selector,
    },
    /// The order in which Cloakroom accepted them.
    #[default]
    Arrival,
}

impl Order {
    /// The kind alone.
    pub fn kind(&self) -> OrderKind {
        match self {
            Self::Dense { .. } => OrderKind::Dense,
            Self::Sparse { .. } => OrderKind::Sparse,
            Self::Version { .. } => OrderKind::Version,
            Self::Arrival => OrderKind::Arrival,
        }
    }

    /// Where the order field is found; `arrival` has none.
    pub fn at(&self) -> Option<&Selector> {
        match self {
            Self::Dense { at, .. } | Self::Sparse { at, .. } | Self::Version { at } => Some(at),
            Self::Arrival => None,
        }
    }
}

/// What orders the events of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum OrderKind {
    /// 1, 2, 3: a hole means that an event is missing.
    Dense,
    /// Numbers or timestamps whose holes mean nothing: held for a while, then released in order.
    Sparse,
    /// Only the newest matters: older ones are superseded.
    Version,
    /// The order of acceptance.
    Arrival,
}

/// The first number of a dense stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// This number; lower ones are late.
    Number(u64),
    /// The lowest that comes within this time of the first.
    Lowest(DurationText),
}

/// What to do about a hole in a dense stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gap {
    /// How long events wait for the missing numbers below them.
    pub after: DurationText,
    /// What happens then.
    pub then: GapPolicy,
    /// A hole of more numbers than this is never skipped by itself.
    #[schemars(range(min = 1))]
    pub max: u64,
}

impl Default for Gap {
    fn default() -> Self {
        Self {
            after: DurationText::from_secs(60),
            then: GapPolicy::default(),
            max: 10_000,
        }
    }
}

/// What happens when the missing numbers did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum GapPolicy {
    /// Keep waiting, and list the stream as stalled.
    #[default]
    Wait,
    /// Pass over the missing numbers, on record: a `cloakroom.gap` event holds their place.
    Skip,
}

/// What to do with an event that comes after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Late {
    /// Deliver it after what was already sent, marked `cloakroomlate`.
    #[default]
    Deliver,
    /// Put it into quarantine.
    Quarantine,
}

/// The default of `hold`.
const HOLD: DurationText = DurationText::from_secs(5);

/// The default of `first`.
const FIRST: FirstText = FirstText::Lowest;

/// An ordering rule as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderText {
    /// What orders the events of a stream.
    kind: OrderKind,
    /// Where the number, timestamp or version is found. Required but for `arrival`, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"body:/data/sequenceNumber")]
    at: Option<Selector>,
    /// For `dense`: the first number of a stream; `lowest` takes the lowest that comes within `hold` of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = FIRST))]
    first: Option<FirstText>,
    /// For `dense`: what to do about a hole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Gap::default()))]
    gap: Option<Gap>,
    /// For `dense` and `sparse`: what to do with an event that comes after its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Late::default()))]
    late: Option<Late>,
    /// For `sparse`, and for `dense` with `first: lowest`: how long events wait for lower ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = HOLD))]
    hold: Option<DurationText>,
}

impl OrderText {
    fn refuse(&self, keys: &[&'static str], kinds: &str) -> Result<(), Mistake> {
        let set = [
            ("at", self.at.is_some()),
            ("first", self.first.is_some()),
            ("gap", self.gap.is_some()),
            ("late", self.late.is_some()),
            ("hold", self.hold.is_some()),
        ];
        match set
            .into_iter()
            .find(|(key, set)| *set && keys.contains(key))
        {
            Some((key, _)) => {
                let remedy = match key {
                    "at" => {
                        "remove it, or choose the kind `dense`, `sparse` or `version`".to_owned()
                    }
                    "first" | "gap" => "remove it, or choose the kind `dense`".to_owned(),
                    "hold" => {
                        "remove it, or choose the kind `sparse`, or `dense` with `first: lowest`"
                            .to_owned()
                    }
                    _ => "remove it, or choose the kind `dense` or `sparse`".to_owned(),
                };
                Err(Mistake::of_key(
                    key,
                    format_args!("means nothing for {kinds}"),
                    remedy,
                ))
            }
            None => Ok(()),
        }
    }

    fn at(&self) -> Result<Selector, Mistake> {
        self.at.clone().ok_or_else(|| {
            Mistake::of_key(
                "kind",
                "this kind needs `at`, which is missing",
                "add where the number is found, e.g. `at: body:/data/sequenceNumber`, or write `kind: arrival`",
            )
        })
    }
}

impl TryFrom<OrderText> for Order {
    type Error = Mistake;

    fn try_from(text: OrderText) -> Result<Self, Mistake> {
        let late = text.late.unwrap_or_default();
        let hold = text.hold.unwrap_or(HOLD);
        match text.kind {
            OrderKind::Dense => {
                let first = match text.first.unwrap_or(FIRST) {
                    FirstText::Lowest => First::Lowest(hold),
                    FirstText::Number(number) => {
                        text.refuse(&["hold"], "`dense` with a fixed `first`")?;
                        First::Number(number)
                    }
                };
                Ok(Self::Dense {
                    at: text.at()?,
                    first,
                    gap: text.gap.unwrap_or_default(),
                    late,
                })
            }
            OrderKind::Sparse => {
                text.refuse(&["first", "gap"], "`sparse`, whose holes mean nothing")?;
                Ok(Self::Sparse {
                    at: text.at()?,
                    hold,
                    late,
                })
            }
            OrderKind::Version => {
                text.refuse(
                    &["first", "gap", "late", "hold"],
                    "`version`, where only the newest counts",
                )?;
                Ok(Self::Version { at: text.at()? })
            }
            OrderKind::Arrival => {
                text.refuse(
                    &["at", "first", "gap", "late", "hold"],
                    "`arrival`, which reads no order field",
                )?;
                Ok(Self::Arrival)
            }
        }
    }
}

impl From<Order> for OrderText {
    fn from(order: Order) -> Self {
        let kind = order.kind();
        let bare = Self {
            kind,
            at: order.at().cloned(),
            first: None,
            gap: None,
            late: None,
            hold: None,
        };
        match order {
            Order::Dense {
                first, gap, late, ..
            } => {
                let (first, hold) = match first {
                    First::Number(number) => (FirstText::Number(number), None),
                    First::Lowest(hold) => (FirstText::Lowest, Some(hold)),
                };
                Self {
                    first: Some(first),
                    gap: Some(gap),
                    late: Some(late),
                    hold,
                    ..bare
                }
            }
            Order::Sparse { hold, late, .. } => Self {
                hold: Some(hold),
                late: Some(late),
                ..bare
            },
            Order::Version { .. } | Order::Arrival => bare,
        }
    }
}

impl JsonSchema for Order {
    fn schema_name() -> Cow<'static, str> {
        "Order".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OrderText::json_schema(generator)
    }
}

/// `first` as it is written: a number, or `lowest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstText {
    Number(u64),
    Lowest,
}

const LOWEST: &str = "lowest";

impl Serialize for FirstText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Lowest => serializer.serialize_str(LOWEST),
        }
    }
}

impl<'de> Deserialize<'de> for FirstText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor)
    }
}

struct FirstVisitor;

impl Visitor<'_> for FirstVisitor {
    type Value = FirstText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or `lowest`")
    }

    fn visit_u64<E>(self, number: u64) -> Result<FirstText, E> {
        Ok(FirstText::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FirstText, E> {
        match text {
            LOWEST => Ok(FirstText::Lowest),
            other => Err(E::custom(Mistake::new(
                format!("{} is neither a whole number nor `lowest`", echo(other)),
                "write the first number of a stream, e.g. `first: 1`, or `first: lowest`",
            ))),
        }
    }
}

impl JsonSchema for FirstText {
    fn schema_name() -> Cow<'static, str> {
        "First".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": LOWEST }],
            "examples": [1, LOWEST],
        })
    }
}
