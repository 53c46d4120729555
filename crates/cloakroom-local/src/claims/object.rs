//! Uploads: kept in memory while they are small, then written to a staging file that becomes an object by a rename.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use cloakroom_core::event::ClaimName;
use cloakroom_engine::ports::{ClaimError, ClaimHint, Upload};
use crc32fast::Hasher;
use tokio::task::JoinHandle;

use super::name::{Place, object_path};
use super::{LocalClaims, SMALL_MAX_BYTES, check_room, record, unavailable, unblocked};
use crate::disk;

/// One buffer of this size fills while another is written, so an upload takes about twice this in memory.
const BUFFER_BYTES: usize = 512 * 1024;

/// The disk is told to start on what was written each time this much has come, so that the sync at the end finds
/// little left to do.
const WRITE_BACK_BYTES: u64 = 16 * 1024 * 1024;

/// A payload on its way in.
pub(super) struct LocalUpload {
    claims: LocalClaims,
    buffer: BytesMut,
    staged: Option<Staged>,
}

/// A staging file. It is removed when this is dropped before it was renamed.
struct Staged {
    id: u128,
    path: PathBuf,
    file: Arc<File>,
    /// How much was handed to the disk so far.
    len: u64,
    crc: Hasher,
    /// The write under way.
    writing: Option<JoinHandle<io::Result<()>>>,
    /// The write-back under way.
    syncing: Option<JoinHandle<io::Result<()>>>,
    synced_len: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a commit there is nothing left under this name. What cannot be removed now goes at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl LocalUpload {
    pub(super) fn new(claims: LocalClaims) -> Self {
        Self {
            claims,
            buffer: BytesMut::new(),
            staged: None,
        }
    }

    /// Hands a piece to the disk, once the one before is through.
    async fn hand_over(&mut self, piece: Bytes) -> Result<(), ClaimError> {
        if self.staged.is_none() {
            self.staged = Some(Staged::create(&self.claims).await?);
        }
        let staged = self.staged.as_mut().expect("it was just made");
        staged.write(piece).await
    }
}

#[async_trait]
impl Upload for LocalUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), ClaimError> {
        let is_small = self.staged.is_none() && self.buffer.len() + chunk.len() <= SMALL_MAX_BYTES;
        if !is_small && chunk.len() >= BUFFER_BYTES {
            let before = self.buffer.split().freeze();
            if !before.is_empty() {
                self.hand_over(before).await?;
            }
            let mut rest = chunk;
            while rest.len() >= BUFFER_BYTES {
                self.hand_over(rest.split_to(BUFFER_BYTES)).await?;
            }
            self.buffer.extend_from_slice(&rest);
            return Ok(());
        }
        self.buffer.extend_from_slice(&chunk);
        if self.buffer.len() >= BUFFER_BYTES {
            let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(BUFFER_BYTES));
            self.hand_over(full.freeze()).await?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>, hint: &ClaimHint) -> Result<ClaimName, ClaimError> {
        let rest = self.buffer.split().freeze();
        if self.staged.is_none() && rest.len() <= SMALL_MAX_BYTES {
            return self.claims.put_small(hint, &rest).await;
        }
        if !rest.is_empty() {
            self.hand_over(rest).await?;
        }
        let staged = self
            .staged
            .take()
            .expect("what is not small was handed to the disk");
        staged.commit(&self.claims, hint).await
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(mut staged) = self.staged.take() {
            // A write that ended badly does not matter any more.
            let _ = staged.written().await;
        }
    }
}

impl Staged {
    async fn create(claims: &LocalClaims) -> Result<Self, ClaimError> {
        check_room(&claims.inner.folders.staging, claims.inner.reserve_bytes)?;
        let staging = claims.inner.folders.staging.clone();
        unblocked(move || {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(io::Error::other)?;
            let id = u128::from_be_bytes(id);
            let path = staging.join(format!("{id:032x}"));
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            Ok(Self {
                id,
                path,
                file: Arc::new(file),
                len: 0,
                crc: Hasher::new(),
                writing: None,
                syncing: None,
                synced_len: 0,
            })
        })
        .await
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), ClaimError> {
        self.written().await?;
        if self.len - self.synced_len >= WRITE_BACK_BYTES {
            self.write_back(self.len).await?;
        }
        let (file, at) = (Arc::clone(&self.file), self.len);
        self.crc.update(&piece);
        self.len += piece.len() as u64;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            file.write_all_at(&piece, at)
        }));
        Ok(())
    }

    /// Starts to bring what was written so far to the disk, once the last such round is through.
    async fn write_back(&mut self, len: u64) -> Result<(), ClaimError> {
        join(&mut self.syncing).await?;
        let file = Arc::clone(&self.file);
        self.syncing = Some(tokio::task::spawn_blocking(move || file.sync_data()));
        self.synced_len = len;
        Ok(())
    }

    /// Waits for the write under way.
    async fn written(&mut self) -> Result<(), ClaimError> {
        join(&mut self.writing).await
    }

    async fn commit(
        mut self,
        claims: &LocalClaims,
        hint: &ClaimHint,
    ) -> Result<ClaimName, ClaimError> {
        self.written().await?;
        if self.len != hint.size {
            let reason = format!(
                "an upload holds {} bytes instead of {}",
                self.len, hint.size
            );
            return Err(ClaimError::Unavailable(reason));
        }
        // An error of a sync is told only once: to whoever synced first.
        join(&mut self.syncing).await?;
        let trailer = record::object_trailer(hint, self.len, self.crc.clone().finalize());
        let objects = claims.inner.folders.objects.clone();
        let name = Place::Object(self.id).name();
        unblocked(move || {
            self.file.write_all_at(&trailer, self.len)?;
            self.file.sync_all()?;
            publish(&self.path, &objects, self.id)
        })
        .await?;
        Ok(name)
    }
}

/// Waits for a task, and forgets it only then: whoever gives up waiting leaves its outcome to the next.
async fn join(task: &mut Option<JoinHandle<io::Result<()>>>) -> Result<(), ClaimError> {
    let Some(running) = task else {
        return Ok(());
    };
    let ended = running.await;
    *task = None;
    match ended {
        Ok(done) => done.map_err(|error| unavailable(&error)),
        Err(error) => Err(ClaimError::Unavailable(error.to_string())),
    }
}

/// Gives a finished file its final name, durably.
fn publish(staged: &Path, objects: &Path, id: u128) -> io::Result<()> {
    let path = object_path(objects, id);
    let folder = path.parent().unwrap_or(objects);
    match std::fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // Synced even when the folder was there: whoever made it may not have come that far.
    disk::sync_directory(objects)?;
    std::fs::rename(staged, &path)?;
    disk::sync_directory(folder)
}
