//! Uploads as a map.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::Sha256;
use futures::StreamExt as _;

use crate::ports::{Announced, ClaimError, Offer, Staged, UploadError, Uploads};

/// How long an offer lives.
const TTL: Duration = Duration::from_secs(15 * 60);
/// As much of a head as S3 would keep.
const HEAD_MAX: usize = 2_000;

/// Staging in memory, and the store's side of an upload.
#[derive(Default)]
pub struct MemoryUploads(Mutex<State>);

#[derive(Default)]
struct State {
    offered: Vec<Announced>,
    staged: BTreeMap<String, (Option<Announced>, Bytes)>,
    breaks_off: bool,
}

impl MemoryUploads {
    /// Nothing offered, nothing staged.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a provider does with an offer. `false` when this is not the body that was announced.
    pub fn put(&self, place: &str, body: impl Into<Bytes>) -> bool {
        let body = body.into();
        let mut state = self.state();
        let number = place.rsplit('/').next().and_then(|id| id.parse().ok());
        let announced = number.and_then(|number: usize| state.offered.get(number));
        let Some(announced) = announced.cloned() else {
            return false;
        };
        let fits = announced.size == body.len() as u64 && announced.sha256 == Sha256::of(&body);
        if fits {
            let staged = (Some(announced), body);
            state.staged.insert(place.to_owned(), staged);
        }
        fits
    }

    /// What the store's owner can do: puts anything anywhere, with anything attached.
    pub fn plant(&self, place: &str, announced: Option<Announced>, body: impl Into<Bytes>) {
        let staged = (announced, body.into());
        self.state().staged.insert(place.to_owned(), staged);
    }

    /// Whether, from now on, bodies break off halfway while they are read.
    pub fn break_off(&self, breaks_off: bool) {
        self.state().breaks_off = breaks_off;
    }

    /// The places that something is at, for tests.
    pub fn places(&self) -> Vec<String> {
        self.state().staged.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Uploads for MemoryUploads {
    async fn offer(&self, announced: &Announced) -> Result<Offer, UploadError> {
        let texts = announced.headers.iter().map(|(n, v)| n.len() + v.len());
        let size = announced.url.len() + texts.sum::<usize>();
        if size > HEAD_MAX {
            let max = HEAD_MAX;
            return Err(UploadError::HeadTooLarge { size, max });
        }
        let mut state = self.state();
        let place = format!("staging/{}/{}", announced.source, state.offered.len());
        state.offered.push(announced.clone());
        let length = announced.size.to_string();
        Ok(Offer {
            url: format!("memory:///{place}"),
            headers: BTreeMap::from([("content-length".to_owned(), length)]),
            place,
            expires: announced.offered.after(TTL),
        })
    }

    async fn staged(&self, place: &str) -> Result<Option<Staged>, ClaimError> {
        let state = self.state();
        let Some((announced, body)) = state.staged.get(place).cloned() else {
            return Ok(None);
        };
        let size = body.len() as u64;
        let body = match state.breaks_off {
            false => vec![Ok(body)],
            true => {
                let text = "an upload broke off while it was read";
                let half = body.slice(..body.len() / 2);
                vec![Ok(half), Err(ClaimError::Unavailable(text.to_owned()))]
            }
        };
        Ok(Some(Staged {
            announced,
            size,
            body: futures::stream::iter(body).boxed(),
        }))
    }

    async fn discard(&self, place: &str) -> Result<(), ClaimError> {
        self.state().staged.remove(place);
        Ok(())
    }

    fn size_max(&self) -> u64 {
        5 << 30
    }
}

impl fmt::Debug for MemoryUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryUploads").finish_non_exhaustive()
    }
}
