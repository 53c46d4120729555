//! Claims as a map.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cloakroom_core::event::ClaimName;
use cloakroom_core::time::Timestamp;
use futures::StreamExt as _;

use crate::ports::{
    ClaimError, ClaimHint, ClaimStore, PayloadStream, Reclaimed, References, Upload,
};

type Objects = Arc<Mutex<State>>;

#[derive(Debug, Default)]
struct State {
    claims: BTreeMap<ClaimName, (ClaimHint, Bytes)>,
    /// Names count on, so that none is given twice.
    named: u64,
}

/// A claim store in memory.
#[derive(Debug, Default)]
pub struct MemoryClaims {
    objects: Objects,
}

impl MemoryClaims {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of all claims, for tests.
    pub fn names(&self) -> Vec<ClaimName> {
        lock(&self.objects).claims.keys().cloned().collect()
    }
}

fn lock(objects: &Objects) -> MutexGuard<'_, State> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn store(objects: &Objects, hint: &ClaimHint, body: Bytes) -> ClaimName {
    let mut objects = lock(objects);
    objects.named += 1;
    let name = ClaimName(format!("{}/{}/{}", hint.source, hint.sha256, objects.named));
    objects.claims.insert(name.clone(), (hint.clone(), body));
    name
}

struct MemoryUpload {
    objects: Objects,
    body: BytesMut,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), ClaimError> {
        self.body.extend_from_slice(&chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, hint: &ClaimHint) -> Result<ClaimName, ClaimError> {
        Ok(store(&self.objects, hint, self.body.freeze()))
    }

    async fn abort(self: Box<Self>) {}
}

#[async_trait]
impl ClaimStore for MemoryClaims {
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        Ok(store(&self.objects, hint, body))
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError> {
        Ok(Box::new(MemoryUpload {
            objects: Arc::clone(&self.objects),
            body: BytesMut::new(),
        }))
    }

    async fn read(
        &self,
        claim: &ClaimName,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        let body = lock(&self.objects)
            .claims
            .get(claim)
            .map(|(_, body)| body.clone());
        let body = body.ok_or_else(|| ClaimError::Missing(claim.clone()))?;
        let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
        let part = range.map_or_else(
            || body.clone(),
            |r| body.slice(clip(r.start)..clip(r.end).max(clip(r.start))),
        );
        Ok(futures::stream::iter([Ok(part)]).boxed())
    }

    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError> {
        lock(&self.objects).claims.remove(claim);
        Ok(())
    }

    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        let candidates: Vec<_> = lock(&self.objects)
            .claims
            .iter()
            .filter(|(_, (hint, _))| {
                hint.recorded < before && after.is_none_or(|after| hint.recorded >= after)
            })
            .map(|(name, (hint, body))| (name.clone(), hint.clone(), body.len()))
            .collect();
        let mut reclaimed = Reclaimed::default();
        for (name, hint, len) in candidates {
            reclaimed.examined += 1;
            if !references.is_referenced(&hint, &name).await? {
                lock(&self.objects).claims.remove(&name);
                reclaimed.removed += 1;
                reclaimed.bytes += len as u64;
            }
        }
        Ok(reclaimed)
    }

    fn is_local(&self) -> bool {
        true
    }
}
