//! How bodies arrive: in pieces, of any size, within a budget; and where they are kept.

use bytes::Bytes;
use cloakroom_core::event::Payload;
use cloakroom_core::id::KEY_MAX_BYTES;
use cloakroom_core::ordering::Reason;
use cloakroom_core::verify::RequestHead;
use futures::TryStreamExt as _;
use futures::future::join_all;

use super::faults::Rates;
use super::world::{World, dense};
use crate::append::{Receipt, Status};
use crate::intake::{BUFFERED_MAX, Refusal};

/// The most a source of these worlds takes, in bytes.
const MAX: usize = 1 << 20;

async fn send(world: &World, key: &str, body: &[u8], piece: usize) -> Result<Receipt, Refusal> {
    let headers = vec![("webhook-id", key), ("x-key", key), ("x-seq", "1")];
    let head = RequestHead {
        method: "POST",
        url: "https://cloakroom.example/in/orders",
        headers: &headers,
    };
    let mut intake = world.engine().intake("orders", &head)?;
    assert_eq!(intake.max_payload(), MAX as u64);
    for piece in body.chunks(piece) {
        intake.write(Bytes::copy_from_slice(piece)).await?;
    }
    intake.finish().await
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

async fn kept(world: &World, receipt: &Receipt) -> (Payload, Vec<u8>) {
    let payload = world.engine().payload(&receipt.id).await.unwrap().unwrap();
    let read = world.engine().read_payload(&payload, None).await.unwrap();
    let pieces: Vec<Bytes> = read.try_collect().await.unwrap();
    (payload, pieces.concat())
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_what_came_whatever_its_size_and_pieces() {
    let world = World::new().source(dense("orders")).start().await;
    for len in [1, BUFFERED_MAX, BUFFERED_MAX + 1, 3 * BUFFERED_MAX, MAX] {
        for piece in [1_000, BUFFERED_MAX, MAX] {
            let body = body(len);
            let key = format!("{len}-{piece}");
            let receipt = send(&world, &key, &body, piece).await.unwrap();
            assert_eq!(receipt.status, Status::Accepted, "{key}");
            let (payload, bytes) = kept(&world, &receipt).await;
            assert_eq!(payload.size, len as u64, "{key}");
            assert!(bytes == body, "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_leaves_nothing_behind() {
    let world = World::new().source(dense("orders")).start().await;
    for piece in [1_000, 2 * MAX] {
        let refusal = send(&world, "A", &body(MAX + 1), piece).await.unwrap_err();
        assert!(matches!(refusal, Refusal::TooLarge { max } if max == MAX as u64));
    }
    assert_eq!((world.entries(), world.claims.names().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_memory_for_is_refused() {
    let mut world = World::new().source(dense("orders"));
    world.body_memory = BUFFERED_MAX as u64;
    let world = world.start().await;
    let buffered = send(&world, "A", &body(BUFFERED_MAX), 1_000).await;
    assert_eq!(buffered.unwrap().status, Status::Accepted);
    let stored = send(&world, "B", &body(BUFFERED_MAX + 1), 1_000).await;
    assert!(matches!(stored, Err(Refusal::Overloaded)));
    assert_eq!(world.entries(), 1);
    // What was reserved was given back.
    send(&world, "C", &body(BUFFERED_MAX), 1_000).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn small_payloads_stay_in_the_ledger_where_that_is_configured() {
    let mut world = World::new().source(dense("orders"));
    world.settings.ledger_only_max = 70;
    let world = world.start().await;
    for (len, has_claim) in [(70, false), (71, true)] {
        let receipt = send(&world, &len.to_string(), &body(len), 1_000).await;
        let (payload, bytes) = kept(&world, &receipt.unwrap()).await;
        assert!(bytes == body(len));
        assert_eq!(payload.claim.is_some(), has_claim);
        // Claims of this store are as near as the ledger.
        assert_eq!(payload.inline.is_some(), !has_claim);
    }
    assert_eq!(world.claims.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_large_webhook_that_comes_several_times_at_once_one_claim_stays() {
    for seed in 0..10 {
        let world = World::seeded(seed).source(dense("orders")).start().await;
        world.faults.by_chance(Rates {
            yields: 60,
            delays: 20,
            ..Rates::default()
        });
        let body = body(BUFFERED_MAX + 1);
        let sends = (0..4).map(|_| send(&world, "A", &body, 1_000));
        let receipts = join_all(sends).await.into_iter().map(Result::unwrap);
        let receipts: Vec<_> = receipts.collect();
        let is_new = |receipt: &&Receipt| receipt.status == Status::Accepted;
        assert_eq!(receipts.iter().filter(is_new).count(), 1, "seed {seed}");
        assert_eq!(world.claims.names().len(), 1, "seed {seed}");
        assert!(kept(&world, &receipts[0]).await.1 == body, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_has_a_length() {
    let world = World::new().source(dense("orders")).start().await;
    let longest = "k".repeat(KEY_MAX_BYTES);
    let taken = send(&world, &longest, b"{}", 10).await.unwrap();
    assert_eq!(taken.status, Status::Accepted);
    for key in [String::new(), format!("{longest}k")] {
        let receipt = send(&world, &key, b"{}", 10).await.unwrap();
        assert_eq!(receipt.reason, Some(Reason::MissingKey));
    }
}
