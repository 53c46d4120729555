//! Removing what nothing refers to: objects one by one, segments once they are sealed and nothing in them is needed.

use std::fs::File;
use std::io;
use std::path::Path;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimError, ClaimHint, Reclaimed, References};

use super::name::{Place, object_path, segment_path};
use super::scan::{self, Hints};
use super::{Inner, record, unblocked};
use crate::disk;

/// How many hints of a segment are in memory at a time.
const HINTS: usize = 512;

/// When a payload must have been written to be looked at.
#[derive(Clone, Copy)]
struct Window {
    after: Option<Timestamp>,
    before: Timestamp,
}

impl Window {
    fn holds(self, hint: &ClaimHint) -> bool {
        hint.recorded < self.before && self.after.is_none_or(|after| hint.recorded >= after)
    }
}

pub(super) async fn run(
    store: &Inner,
    after: Option<Timestamp>,
    before: Timestamp,
    references: &dyn References,
) -> Result<Reclaimed, ClaimError> {
    let window = Window { after, before };
    let mut reclaimed = Reclaimed::default();
    objects(store, window, references, &mut reclaimed).await?;
    segments(store, window, references, &mut reclaimed).await?;
    Ok(reclaimed)
}

/// Removes a file. Tells how long it was; 0 when it was not there.
pub(super) fn remove(path: &Path) -> io::Result<u64> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(0),
        _ => Err(error),
    };
    let len = match std::fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) => return gone(error),
    };
    match std::fs::remove_file(path) {
        Ok(()) => Ok(len),
        Err(error) => gone(error),
    }
}

async fn objects(
    store: &Inner,
    window: Window,
    references: &dyn References,
    reclaimed: &mut Reclaimed,
) -> Result<(), ClaimError> {
    let folder = store.folders.objects.clone();
    for id in unblocked(move || scan::objects(&folder)).await? {
        let path = object_path(&store.folders.objects, id);
        let info = {
            let path = path.clone();
            unblocked(move || match File::open(path) {
                Ok(file) => record::object_info(&file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            })
        };
        // What is damaged stays: somebody must look at it.
        let Some(info) = info.await?.filter(|info| window.holds(&info.hint)) else {
            continue;
        };
        reclaimed.examined += 1;
        if !references
            .is_referenced(&info.hint, &Place::Object(id).name())
            .await?
        {
            reclaimed.bytes += unblocked(move || remove(&path)).await?;
            reclaimed.removed += 1;
        }
    }
    Ok(())
}

async fn segments(
    store: &Inner,
    window: Window,
    references: &dyn References,
    reclaimed: &mut Reclaimed,
) -> Result<(), ClaimError> {
    let folder = store.folders.segments.clone();
    let active = store.packer.active();
    for segment in unblocked(move || scan::segments(&folder)).await? {
        if segment >= active {
            continue;
        }
        let Some(is_needed) = is_needed(store, segment, window, references).await? else {
            continue;
        };
        reclaimed.examined += 1;
        if !is_needed {
            let folder = store.folders.segments.clone();
            let bytes = unblocked(move || {
                let bytes = remove(&segment_path(&folder, segment))?;
                disk::sync_directory(&folder)?;
                Ok(bytes)
            });
            reclaimed.bytes += bytes.await?;
            reclaimed.removed += 1;
            store.segments.forget(segment);
        }
    }
    Ok(())
}

/// Whether anything in the segment is referenced. `None` when it is not to be looked at: some of it is too young, all of
/// it is too old, or it is damaged and somebody must look.
async fn is_needed(
    store: &Inner,
    segment: u64,
    window: Window,
    references: &dyn References,
) -> Result<Option<bool>, ClaimError> {
    let path = segment_path(&store.folders.segments, segment);
    let mut hints = unblocked(move || Hints::open(&path, segment)).await?;
    let mut is_in_window = false;
    loop {
        let taken = unblocked(move || {
            let taken = hints.take(HINTS);
            Ok((hints, taken))
        });
        let taken = taken.await?;
        hints = taken.0;
        let batch = match taken.1 {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(segment, %error, "left alone: run `cloakroom doctor`");
                return Ok(None);
            }
        };
        let is_last = batch.len() < HINTS;
        for (place, hint) in batch {
            if hint.recorded >= window.before {
                return Ok(None);
            }
            is_in_window |= window.holds(&hint);
            if references.is_referenced(&hint, &place.name()).await? {
                return Ok(Some(true));
            }
        }
        if is_last {
            return Ok(is_in_window.then_some(false));
        }
    }
}
