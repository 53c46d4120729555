//! How a stream looks in JSON.

use std::collections::BTreeMap;

use cloakroom_core::head::Gap;
use cloakroom_engine::inspect::StreamStatus;
use cloakroom_engine::record::{Cursor, CursorState};
use serde::Serialize;

/// A stream and where everybody stands in it.
#[derive(Serialize)]
pub(crate) struct StreamView {
    stream: String,
    head: Option<String>,
    gap: Option<GapView>,
    cursors: BTreeMap<String, CursorView>,
}

#[derive(Serialize)]
struct GapView {
    from: u64,
    to: u64,
    since: String,
    deadline: String,
    stalled: bool,
}

#[derive(Serialize)]
struct CursorView {
    position: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<StreamStatus> for StreamView {
    fn from(status: StreamStatus) -> Self {
        let cursors = status.cursors.into_iter();
        Self {
            stream: status.head.stream.to_string(),
            head: status.head.head.position.map(|head| head.to_string()),
            gap: status.gap.map(GapView::from),
            cursors: cursors
                .map(|cursor| (cursor.subscription.to_string(), CursorView::from(cursor)))
                .collect(),
        }
    }
}

impl From<Gap> for GapView {
    fn from(gap: Gap) -> Self {
        Self {
            from: gap.from,
            to: gap.to,
            since: gap.since.to_string(),
            deadline: gap.deadline.to_string(),
            stalled: gap.stalled,
        }
    }
}

impl From<Cursor> for CursorView {
    fn from(cursor: Cursor) -> Self {
        let position = cursor.position.map(|position| position.to_string());
        let view = Self {
            position,
            state: "active",
            attempts: None,
            retry_at: None,
            since: None,
            reason: None,
        };
        match cursor.state {
            CursorState::Active => view,
            CursorState::Retrying {
                attempts,
                retry_at,
                reason,
            } => Self {
                state: "retrying",
                attempts: Some(attempts),
                retry_at: Some(retry_at.to_string()),
                reason: Some(reason),
                ..view
            },
            CursorState::Parked {
                attempts,
                since,
                reason,
            } => Self {
                state: "parked",
                attempts: Some(attempts),
                since: Some(since.to_string()),
                reason: Some(reason),
                ..view
            },
        }
    }
}
