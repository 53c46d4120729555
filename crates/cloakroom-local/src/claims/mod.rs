//! Claims in a directory: small payloads packed into segments, large ones a file each.

mod name;
mod object;
mod packer;
mod read;
mod reclaim;
mod record;
mod scan;
mod written;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::event::ClaimName;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{
    ClaimError, ClaimHint, ClaimStore, PayloadStream, Reclaimed, References, Upload,
};

pub(crate) use self::name::{Place, object_path, segment_path};
use self::object::LocalUpload;
use self::packer::Packer;
pub(crate) use self::packer::{Flush, Mark};
pub(crate) use self::read::{Packed, packed};
use self::read::{SOUND_MAX, Segments, Sound};
use self::record::Unplaced;
pub(crate) use self::record::object_info;
pub(crate) use self::scan::{objects, segment, segments};
use crate::data_dir::Options;
use crate::disk;

/// Payloads up to this size share segments: a durable file for each would cost more than all the rest of a webhook.
pub const SMALL_MAX_BYTES: usize = 64 * 1024;

/// A durable claim store in one directory.
#[derive(Debug, Clone)]
pub struct LocalClaims {
    inner: Arc<Inner>,
}

struct Inner {
    folders: Folders,
    packer: Packer,
    segments: Segments,
    sound: Sound,
    reserve_bytes: u64,
    /// Whether a ledger flushes before each of its commits.
    is_flushed: AtomicBool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClaims")
            .field("folders", &self.folders)
            .finish_non_exhaustive()
    }
}

/// Where the claim store keeps what.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) segments: PathBuf,
    pub(crate) objects: PathBuf,
    pub(crate) staging: PathBuf,
}

impl Folders {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            segments: folder.join("segments"),
            objects: folder.join("objects"),
            staging: folder.join("staging"),
        }
    }
}

impl LocalClaims {
    /// Opens the claim store in `folder`, or makes an empty one, and removes what earlier runs left half-written.
    /// [`crate::DataDir::open`] is the usual way in.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, ClaimError> {
        let folders = Folders::in_folder(folder);
        prepare(folder, &folders).map_err(|error| unavailable(&error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                packer: Packer::start(&folders.segments, options.reserve_bytes)?,
                segments: Segments::new(folders.segments.clone()),
                sound: Sound::new(SOUND_MAX),
                reserve_bytes: options.reserve_bytes,
                is_flushed: AtomicBool::new(false),
                folders,
            }),
        })
    }

    /// Finishes what was begun and refuses small payloads after. Dropping does the same.
    pub fn close(&self) {
        self.inner.packer.close();
    }

    /// For the ledger that goes with this store: it must flush before it commits anything, from now on.
    pub(crate) fn flushed_by_ledger(&self) -> Flush {
        self.inner.is_flushed.store(true, Ordering::Release);
        self.inner.packer.flush()
    }

    async fn put_small(&self, hint: &ClaimHint, body: &[u8]) -> Result<ClaimName, ClaimError> {
        self.inner.packer.put(Unplaced::new(hint, body)).await
    }
}

fn prepare(folder: &Path, folders: &Folders) -> io::Result<()> {
    for folder in [&folders.segments, &folders.objects, &folders.staging] {
        std::fs::create_dir_all(folder)?;
    }
    disk::sync_directory(folder)?;
    if let Some(above) = folder.parent() {
        disk::sync_directory(above)?;
    }
    for leftover in std::fs::read_dir(&folders.staging)? {
        std::fs::remove_file(leftover?.path())?;
    }
    Ok(())
}

#[async_trait]
impl ClaimStore for LocalClaims {
    async fn put(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        if body.len() <= SMALL_MAX_BYTES {
            return self.put_small(hint, &body).await;
        }
        let mut upload = LocalUpload::new(self.clone());
        upload.write(body).await?;
        Box::new(upload).commit(hint).await
    }

    async fn place(&self, hint: &ClaimHint, body: Bytes) -> Result<ClaimName, ClaimError> {
        if body.len() <= SMALL_MAX_BYTES && self.inner.is_flushed.load(Ordering::Acquire) {
            return self.inner.packer.place(Unplaced::new(hint, &body));
        }
        self.put(hint, body).await
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, ClaimError> {
        Ok(Box::new(LocalUpload::new(self.clone())))
    }

    async fn read(
        &self,
        claim: &ClaimName,
        range: Option<Range<u64>>,
    ) -> Result<PayloadStream, ClaimError> {
        match Place::parse(claim) {
            Some(Place::Packed {
                segment,
                offset,
                len,
            }) => self.inner.segments.read(claim, segment, offset, len, range),
            Some(Place::Object(id)) => {
                let path = object_path(&self.inner.folders.objects, id);
                read::object(claim.clone(), (id, path), range, &self.inner.sound).await
            }
            None => Err(ClaimError::Missing(claim.clone())),
        }
    }

    async fn delete(&self, claim: &ClaimName) -> Result<(), ClaimError> {
        // A packed payload goes with its segment, once nothing in it is referenced: see `reclaim`.
        let Some(Place::Object(id)) = Place::parse(claim) else {
            return Ok(());
        };
        let path = object_path(&self.inner.folders.objects, id);
        unblocked(move || reclaim::remove(&path).map(|_| ())).await
    }

    async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        reclaim::run(&self.inner, after, before, references).await
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// Does file work where blocking is fine.
async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ClaimError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| unavailable(&error)),
        Err(error) => Err(ClaimError::Unavailable(error.to_string())),
    }
}

fn unavailable(error: &io::Error) -> ClaimError {
    ClaimError::Unavailable(error.to_string())
}

/// Refuses when the disk is nearly full, so that reads and clean-up go on.
fn check_room(folder: &Path, reserve_bytes: u64) -> Result<(), ClaimError> {
    match disk::available_bytes(folder) {
        Ok(bytes) if bytes < reserve_bytes => Err(ClaimError::Unavailable(format!(
            "less than {reserve_bytes} bytes are free on its disk"
        ))),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "cannot tell how much room the disk has");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
