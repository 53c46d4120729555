//! The staging port: bodies that providers put into the store themselves, before anything of them is verified.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cloakroom_core::event::Sha256;
use cloakroom_core::id::SourceName;
use cloakroom_core::time::Timestamp;

use super::claims::{ClaimError, PayloadStream};

/// Keeps what was uploaded until it has been verified. Nothing here is a claim, and no claim is ever read from here.
///
/// - **Only what was offered.** What can be put under an offer's URL is the body of the announced size and hash, with
///   what was announced attached to it, and nothing else: whoever has the URL can change neither, however often it is
///   used.
/// - **One version at a time.** What [`Uploads::staged`] returns is one version of the object: what is attached to it and
///   its bytes belong together, even when the URL is used again while they are read.
#[async_trait]
pub trait Uploads: Send + Sync + 'static {
    /// Makes a URL for a new place. Stores nothing.
    async fn offer(&self, announced: &Announced) -> Result<Offer, UploadError>;

    /// What was put at this place; `None` when there is nothing (any more), or when it is no place of uploads.
    async fn staged(&self, place: &str) -> Result<Option<Staged>, ClaimError>;

    /// Removes what was put at this place. Removing what is not there is fine.
    async fn discard(&self, place: &str) -> Result<(), ClaimError>;

    /// The largest body that can be uploaded, in bytes.
    fn size_max(&self) -> u64;
}

/// What a provider says of a webhook whose body it will upload: all that a request to `POST /in/{source}` says before
/// its body begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The source.
    pub source: SourceName,
    /// The URL that the webhook would be sent to, which some schemes sign.
    pub url: String,
    /// The webhook's headers, names in lower case, `content-type` among them.
    pub headers: Vec<(String, String)>,
    /// The size of the body, in bytes.
    pub size: u64,
    /// Its hash.
    pub sha256: Sha256,
    /// When it was offered a place. The age of a signature is judged as of then.
    pub offered: Timestamp,
}

impl Announced {
    /// The content type of the body.
    pub fn content_type(&self) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name == "content-type");
        found.map(|(_, value)| value.as_str())
    }
}

/// A place for one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where to `PUT` the body.
    pub url: String,
    /// The headers that the `PUT` must have, exactly these values.
    pub headers: BTreeMap<String, String>,
    /// The place's name.
    pub place: String,
    /// Until when a `PUT` may begin.
    pub expires: Timestamp,
}

/// What was put at a place.
pub struct Staged {
    /// What was announced; `None` when it cannot be read, so that nobody here has offered the place.
    pub announced: Option<Announced>,
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes.
    pub body: PayloadStream,
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Why there is no offer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UploadError {
    /// What was announced does not fit onto the object.
    #[error(
        "the webhook's headers take {size} bytes as the store keeps them, and at most {max} fit; announce only those that the source reads"
    )]
    HeadTooLarge {
        /// What they take.
        size: usize,
        /// What fits.
        max: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ClaimError),
}
