//! Segments once they are full: far more than the conformance suite writes.

use std::collections::HashSet;

use cloakroom_core::event::Sha256;
use cloakroom_engine::conformance::samples::at;
use futures::TryStreamExt as _;
use futures::future::join_all;

use super::*;

fn hint(body: &Bytes, recorded: i64) -> ClaimHint {
    ClaimHint {
        source: "shop".into(),
        identity: "evt".into(),
        event: None,
        sha256: Sha256::of(body),
        size: body.len() as u64,
        recorded: at(recorded),
    }
}

struct Named(HashSet<ClaimName>);

#[async_trait]
impl References for Named {
    async fn is_referenced(&self, _: &ClaimHint, claim: &ClaimName) -> Result<bool, ClaimError> {
        Ok(self.0.contains(claim))
    }
}

/// Fills a segment and begins the next.
async fn fill(claims: &LocalClaims, recorded: i64) -> Vec<ClaimName> {
    let body = Bytes::from(vec![7; SMALL_MAX_BYTES]);
    let hint = hint(&body, recorded);
    let count = packer::SEGMENT_MAX_BYTES as usize / SMALL_MAX_BYTES + 1;
    let puts = (0..count).map(|_| claims.put(&hint, body.clone()));
    join_all(puts)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn segment_of(claim: &ClaimName) -> u64 {
    match Place::parse(claim) {
        Some(Place::Packed { segment, .. }) => segment,
        other => panic!("{claim:?} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_segment_goes_when_nothing_in_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::at(at(0));
    let claims = LocalClaims::open(folder.path(), &options).unwrap();
    let first = fill(&claims, 0).await;
    let second = fill(&claims, 100).await;
    let sealed: Vec<_> = first
        .iter()
        .filter(|claim| segment_of(claim) == 1)
        .collect();
    let last = second.last().unwrap().clone();
    assert!(segment_of(&last) >= 2);
    let reclaim = async |after: Option<i64>, before, needed: &[&ClaimName]| {
        let needed = Named(needed.iter().map(|claim| (*claim).clone()).collect());
        claims
            .reclaim(after.map(at), at(before), &needed)
            .await
            .unwrap()
    };
    let kept = reclaim(None, 50, &[sealed[sealed.len() - 1]]).await;
    assert_eq!(
        (kept.examined, kept.removed),
        (1, 0),
        "one payload keeps its segment"
    );
    assert_eq!(reclaim(None, 0, &[]).await.examined, 0, "too young");
    assert_eq!(reclaim(Some(1), 50, &[]).await.examined, 0, "too old");
    let removed = reclaim(None, 50, &[]).await;
    assert_eq!(removed.removed, 1);
    assert!(removed.bytes >= packer::SEGMENT_MAX_BYTES);
    let gone = claims.read(sealed[0], None).await.err();
    assert!(matches!(gone, Some(ClaimError::Missing(_))), "{gone:?}");
    let left: Vec<Bytes> = claims
        .read(&last, None)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(left.concat().len(), SMALL_MAX_BYTES);
    drop(claims);
    // What is left is found again, and the numbers go on.
    let claims = LocalClaims::open(folder.path(), &options).unwrap();
    let body = Bytes::from_static(b"x");
    let next = claims.put(&hint(&body, 200), body.clone()).await.unwrap();
    assert!(segment_of(&next) >= segment_of(&last));
    let found = claims.read(&last, None).await.unwrap();
    assert_eq!(found.try_collect::<Vec<Bytes>>().await.unwrap(), left);
}
