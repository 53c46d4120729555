//! The embedded adapters on a real disk.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]

mod conformance;
mod crash;
mod damage;
mod data_dir;
mod model;

use bytes::Bytes;
use cloakroom_core::event::{Body, ClaimName, Event, Payload, Sha256};
use cloakroom_core::id::StreamId;
use cloakroom_core::position::Position;
use cloakroom_engine::conformance::samples;
use cloakroom_engine::ports::{ClaimError, ClaimHint, ClaimStore};
use cloakroom_local::{LocalStore, Options};
use futures::TryStreamExt as _;

fn options() -> Options {
    Options::at(samples::at(0))
}

/// Bytes that differ from place to place and from `seed` to `seed`.
fn body(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// A ledger entry whose payload is the claim.
fn event_with(stream: &StreamId, number: u64, claim: Option<ClaimName>, body: &[u8]) -> Event {
    let payload = Payload {
        content_type: "application/json".to_owned(),
        size: body.len() as u64,
        sha256: Sha256::of(body),
        claim,
        inline: None,
    };
    Event {
        body: Body::Payload(payload),
        ..samples::event(stream, &Position::dense(number), &format!("evt-{number}"))
    }
}

fn hint(body: &Bytes) -> ClaimHint {
    ClaimHint {
        source: "shop".into(),
        identity: "evt".into(),
        event: None,
        sha256: Sha256::of(body),
        size: body.len() as u64,
        recorded: samples::at(0),
    }
}

/// Stores a payload durably.
async fn put(store: &LocalStore, body: &Bytes) -> ClaimName {
    let put = store.claims.put(&hint(body), body.clone()).await;
    put.unwrap()
}

/// Stores a payload as intake does it: the ledger makes it durable before the entry that names it.
async fn place(store: &LocalStore, body: &Bytes) -> ClaimName {
    let placed = store.claims.place(&hint(body), body.clone()).await;
    placed.unwrap()
}

async fn read(store: &LocalStore, claim: &ClaimName) -> Result<Bytes, ClaimError> {
    let pieces: Vec<Bytes> = store.claims.read(claim, None).await?.try_collect().await?;
    Ok(pieces.concat().into())
}
