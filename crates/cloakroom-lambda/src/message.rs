//! Doorbells as messages.

use std::time::Duration;

use cloakroom_core::event::Sha256;
use cloakroom_core::id::{StreamId, SubscriptionName};
use cloakroom_core::position::Position;
use cloakroom_engine::{Bell, Due};
use serde::{Deserialize, Serialize};

use crate::queue::Message;

/// A doorbell as the text of a message. Messages of an earlier version are read as long as a queue keeps them (14 days).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doorbell {
    /// Look at the head of a stream.
    Resequence {
        /// The stream.
        stream: StreamId,
    },
    /// Look at what a subscription has not settled of a stream.
    #[serde(rename_all = "kebab-case")]
    Deliver {
        /// The subscription.
        subscription: SubscriptionName,
        /// The stream.
        stream: StreamId,
        /// Up to where the stream is known to be released.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        released_up_to: Option<Position>,
    },
}

impl From<Bell> for Doorbell {
    fn from(bell: Bell) -> Self {
        match bell.due {
            Due::Resequence(stream) => Self::Resequence { stream },
            Due::Deliver(subscription, stream) => Self::Deliver {
                subscription,
                stream,
                released_up_to: bell.released_up_to,
            },
        }
    }
}

impl From<Doorbell> for Bell {
    fn from(doorbell: Doorbell) -> Self {
        let (due, released_up_to) = match doorbell {
            Doorbell::Resequence { stream } => (Due::Resequence(stream), None),
            Doorbell::Deliver {
                subscription,
                stream,
                released_up_to,
            } => (Due::Deliver(subscription, stream), released_up_to),
        };
        Self {
            due,
            at: None,
            released_up_to,
        }
    }
}

impl Doorbell {
    /// The message group: what is delivered one at a time. A hash, because subscription and stream together may be longer
    /// than a group's name.
    pub fn group(&self) -> String {
        let text = match self {
            Self::Resequence { stream } => format!("resequence\n{stream}"),
            Self::Deliver {
                subscription,
                stream,
                ..
            } => format!("deliver\n{subscription}\n{stream}"),
        };
        Sha256::of(text.as_bytes()).to_string()
    }

    /// As a message of the doorbell queue. `unique` keeps the queue from taking it for one sent before.
    pub(crate) fn grouped(&self, unique: String) -> Message {
        Message {
            body: self.text(),
            group: Some(self.group()),
            deduplication: Some(unique),
            delay: Duration::ZERO,
        }
    }

    /// As a message of the timers queue.
    pub(crate) fn delayed(&self, delay: Duration) -> Message {
        Message {
            body: self.text(),
            group: None,
            deduplication: None,
            delay,
        }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("a doorbell is plain data")
    }
}
