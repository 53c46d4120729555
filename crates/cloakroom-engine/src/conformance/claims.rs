//! The suite for [`ClaimStore`].

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::{ClaimName, Sha256};
use cloakroom_core::time::Timestamp;
use futures::TryStreamExt as _;
use futures::future::join_all;

use super::samples::at;
use crate::ports::{ClaimError, ClaimHint, ClaimStore, Reclaimed, References};

/// Holds a claim store to its contract. `make` gives an empty store each time.
pub async fn claims<C: ClaimStore>(make: impl AsyncFn() -> C) {
    sizes_and_ranges(&make().await).await;
    uploads(&make().await).await;
    what_was_given_up_is_gone(&make().await).await;
    names_are_never_given_twice(make().await).await;
    deleting(&make().await).await;
    missing(&make().await).await;
    reclaiming(&make().await).await;
    reclaiming_fails_safe(&make().await).await;
}

/// Sizes around the places where a store may change its ways.
const SIZES: [usize; 10] = [
    0,
    1,
    4095,
    8193,
    64 * 1024 - 1,
    64 * 1024,
    64 * 1024 + 1,
    1024 * 1024,
    5 * 1024 * 1024,
    8 * 1024 * 1024 + 17,
];

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

fn hint(identity: &str, body: &[u8], recorded: Timestamp) -> ClaimHint {
    ClaimHint {
        source: "shop".into(),
        identity: identity.into(),
        event: None,
        sha256: Sha256::of(body),
        size: body.len() as u64,
        recorded,
    }
}

async fn read<C: ClaimStore>(
    store: &C,
    claim: &ClaimName,
    range: Option<std::ops::Range<u64>>,
) -> Result<Bytes, ClaimError> {
    let parts: Vec<Bytes> = store.read(claim, range).await?.try_collect().await?;
    Ok(parts.concat().into())
}

async fn put<C: ClaimStore>(store: &C, identity: &str, body: &Bytes) -> ClaimName {
    let put = store.put(&hint(identity, body, at(0)), body.clone()).await;
    put.unwrap_or_else(|error| panic!("storing {} bytes: {error}", body.len()))
}

/// Uploads `body` in chunks of these sizes, in turn.
async fn upload<C: ClaimStore>(
    store: &C,
    hint: &ClaimHint,
    body: &Bytes,
    chunks: &[usize],
) -> ClaimName {
    let mut upload = store
        .begin()
        .await
        .unwrap_or_else(|error| panic!("beginning: {error}"));
    let mut rest = body.clone();
    for chunk in chunks.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let part = rest.split_to((*chunk).min(rest.len()));
        upload
            .write(part)
            .await
            .unwrap_or_else(|error| panic!("writing: {error}"));
    }
    upload
        .commit(hint)
        .await
        .unwrap_or_else(|error| panic!("committing: {error}"))
}

async fn check<C: ClaimStore>(store: &C, claim: &ClaimName, body: &Bytes) {
    let found = read(store, claim, None).await;
    let found = found.unwrap_or_else(|error| panic!("reading {claim:?}: {error}"));
    assert!(
        found == *body,
        "{claim:?}: what is read is what was written ({} and {} bytes)",
        found.len(),
        body.len()
    );
}

async fn sizes_and_ranges<C: ClaimStore>(store: &C) {
    for (seed, size) in SIZES.into_iter().enumerate() {
        let body = body(seed as u64, size);
        let claim = put(store, &format!("evt-{seed}"), &body).await;
        check(store, &claim, &body).await;
        let end = size as u64;
        let ranges = [
            0..0,
            0..1,
            0..end,
            1..end,
            end / 2..end / 2 + 10,
            end.saturating_sub(1)..end,
            0..end + 100,
            end..end + 1,
            end + 5..end + 10,
            70_000..70_001,
        ];
        for range in ranges {
            let clip = |place: u64| usize::try_from(place.min(end)).unwrap_or(size);
            let expected = body.slice(clip(range.start)..clip(range.end).max(clip(range.start)));
            let found = read(store, &claim, Some(range.clone())).await;
            let found =
                found.unwrap_or_else(|error| panic!("reading {range:?} of {size}: {error}"));
            assert!(
                found == expected,
                "{range:?} of {size} bytes, clipped to the end"
            );
        }
    }
}

async fn uploads<C: ClaimStore>(store: &C) {
    let mut stored = Vec::new();
    for (seed, size) in SIZES.into_iter().enumerate() {
        let body = body(100 + seed as u64, size);
        for (way, chunks) in [
            vec![size.max(1)],
            vec![16 * 1024],
            vec![1, 70_000, 3, 1_500_000],
        ]
        .iter()
        .enumerate()
        {
            let hint = hint(&format!("evt-{seed}-{way}"), &body, at(0));
            let claim = upload(store, &hint, &body, chunks).await;
            stored.push((claim, body.clone()));
        }
    }
    for (claim, body) in &stored {
        check(store, claim, body).await;
    }
    let names: HashSet<_> = stored.iter().map(|(claim, _)| claim).collect();
    assert_eq!(names.len(), stored.len(), "each has a name of its own");
}

async fn what_was_given_up_is_gone<C: ClaimStore>(store: &C) {
    let kept = body(1, 200_000);
    for size in [0, 10, 3_000_000] {
        let mut aborted = store
            .begin()
            .await
            .unwrap_or_else(|error| panic!("beginning: {error}"));
        let mut dropped = store
            .begin()
            .await
            .unwrap_or_else(|error| panic!("beginning: {error}"));
        for upload in [&mut aborted, &mut dropped] {
            upload
                .write(body(2, size))
                .await
                .unwrap_or_else(|error| panic!("writing: {error}"));
        }
        aborted.abort().await;
        drop(dropped);
    }
    let claim = put(store, "kept", &kept).await;
    let references = Named(HashSet::from([claim.clone()]));
    let reclaimed = reclaim(store, None, at(10), &references).await;
    assert_eq!(
        (reclaimed.removed, reclaimed.bytes),
        (0, 0),
        "what was given up never became a claim"
    );
    check(store, &claim, &kept).await;
}

async fn names_are_never_given_twice<C: ClaimStore>(store: C) {
    let store = Arc::new(store);
    let tasks: Vec<_> = (0..64_u64)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                // Two and two are the same event with other bytes.
                let body = body(number, if number % 8 == 0 { 100_000 } else { 1000 });
                (
                    put(&*store, &format!("evt-{}", number / 2), &body).await,
                    body,
                )
            })
        })
        .collect();
    let stored: Vec<_> = join_all(tasks)
        .await
        .into_iter()
        .map(|task| task.expect("a caller panicked"))
        .collect();
    let names: HashSet<_> = stored.iter().map(|(claim, _)| claim.clone()).collect();
    assert_eq!(
        names.len(),
        stored.len(),
        "a name is never given to other bytes"
    );
    for (claim, body) in &stored {
        check(&*store, claim, body).await;
    }
    let gone = &stored[0].0;
    delete(&*store, gone).await;
    for (number, (_, body)) in stored.iter().enumerate() {
        let again = put(&*store, &format!("evt-{}", number / 2), body).await;
        assert_ne!(again, *gone, "nor after it was deleted");
    }
    for (claim, body) in &stored[1..] {
        check(&*store, claim, body).await;
    }
}

async fn delete<C: ClaimStore>(store: &C, claim: &ClaimName) {
    store
        .delete(claim)
        .await
        .unwrap_or_else(|error| panic!("deleting {claim:?}: {error}"));
}

async fn deleting<C: ClaimStore>(store: &C) {
    for size in [0, 1000, 200_000] {
        let (body, other) = (body(1, size), body(2, 1000));
        let claim = put(store, "evt-1", &body).await;
        let neighbour = put(store, "evt-2", &other).await;
        delete(store, &claim).await;
        delete(store, &claim).await;
        // The space may come back later, so the bytes may still be there; but never other ones.
        match read(store, &claim, None).await {
            Ok(found) => assert!(
                found == body,
                "a deleted claim never reads as something else"
            ),
            Err(error) => assert!(matches!(error, ClaimError::Missing(_)), "{error}"),
        }
        check(store, &neighbour, &other).await;
    }
}

async fn missing<C: ClaimStore>(store: &C) {
    put(store, "evt-1", &body(1, 1000)).await;
    put(store, "evt-2", &body(1, 200_000)).await;
    for name in [
        "",
        "/",
        "nonsense",
        "s/1",
        "s/0/0/0",
        "s/9999/0/10",
        "s/1/999999999/10",
        "s/18446744073709551616/1/1",
        "o/../../format",
        "../format",
        "/etc/hostname",
        "o/00",
        "o/zz/zz",
        "s/../0/10",
        "o/ab\0c",
        "o/ż",
    ] {
        let claim = ClaimName(name.to_owned());
        let error = read(store, &claim, None).await.err();
        assert!(
            matches!(error, Some(ClaimError::Missing(_))),
            "{name:?} names nothing, but gave {error:?}"
        );
        delete(store, &claim).await;
    }
}

/// References to exactly these.
struct Named(HashSet<ClaimName>);

#[async_trait]
impl References for Named {
    async fn is_referenced(&self, hint: &ClaimHint, claim: &ClaimName) -> Result<bool, ClaimError> {
        assert_eq!(
            hint.source.as_str(),
            "shop",
            "the hint is the one that was stored"
        );
        Ok(self.0.contains(claim))
    }
}

async fn reclaim<C: ClaimStore>(
    store: &C,
    after: Option<Timestamp>,
    before: Timestamp,
    references: &dyn References,
) -> Reclaimed {
    let reclaimed = store.reclaim(after, before, references).await;
    reclaimed.unwrap_or_else(|error| panic!("reclaiming: {error}"))
}

async fn reclaiming<C: ClaimStore>(store: &C) {
    let mut stored = Vec::new();
    for (number, size) in [100, 200_000, 100, 200_000, 0, 300_000]
        .into_iter()
        .enumerate()
    {
        let body = body(number as u64, size);
        let name = format!("evt-{number}");
        let recorded = at(number as i64 * 10);
        let by_put = store.put(&hint(&name, &body, recorded), body.clone()).await;
        let by_put = by_put.unwrap_or_else(|error| panic!("storing: {error}"));
        let uploaded = upload(store, &hint(&name, &body, recorded), &body, &[60_000]).await;
        stored.push((by_put, body.clone()));
        stored.push((uploaded, body));
    }
    let large = |(_, body): &&(ClaimName, Bytes)| body.len() > 100_000;
    let everything = Named(stored.iter().map(|(claim, _)| claim.clone()).collect());
    let none = Named(HashSet::new());
    assert_eq!(
        reclaim(store, None, at(1000), &everything).await.removed,
        0,
        "what is referenced stays"
    );
    // Nothing large was written in this window.
    reclaim(store, Some(at(11)), at(30), &none).await;
    assert_eq!(
        reclaim(store, Some(at(1000)), at(2000), &none).await,
        Reclaimed::default()
    );
    for (claim, body) in stored.iter().filter(large) {
        check(store, claim, body).await;
    }
    // Numbers 2 and 3 were written at 10 s: at the very start of the window.
    let at_ten = reclaim(store, Some(at(10)), at(11), &none).await;
    assert!(
        at_ten.removed >= 2 && at_ten.bytes >= 400_000 && at_ten.examined >= 2,
        "{at_ten:?}"
    );
    for (claim, body) in &stored[2..4] {
        let found = read(store, claim, None).await;
        assert!(
            matches!(found, Err(ClaimError::Missing(_))),
            "{} bytes unreferenced in the window go",
            body.len()
        );
    }
    let kept: HashSet<_> = stored[4..]
        .iter()
        .filter(large)
        .map(|(claim, _)| claim.clone())
        .collect();
    reclaim(store, None, at(1000), &Named(kept.clone())).await;
    for (claim, body) in stored.iter().filter(|(claim, _)| kept.contains(claim)) {
        check(store, claim, body).await;
    }
}

/// A store of references that cannot answer.
struct Unknown;

#[async_trait]
impl References for Unknown {
    async fn is_referenced(&self, _: &ClaimHint, _: &ClaimName) -> Result<bool, ClaimError> {
        Err(ClaimError::Unavailable(
            "the ledger cannot be reached".to_owned(),
        ))
    }
}

async fn reclaiming_fails_safe<C: ClaimStore>(store: &C) {
    let body = body(1, 200_000);
    let claim = put(store, "evt-1", &body).await;
    let refused = store.reclaim(None, at(1000), &Unknown).await;
    assert!(
        matches!(refused, Err(ClaimError::Unavailable(_))),
        "reclaiming reports what it could not ask"
    );
    check(store, &claim, &body).await;
}
