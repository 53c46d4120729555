//! Finds what nobody needs: claims that no ledger record names, uploads that never ended, hints without an object.

use std::time::Duration;

use aws_sdk_s3::types::Object;
use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimError, ClaimHint, Reclaimed, References};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::fault::unavailable;
use super::name::{self, Name, SHARDS};
use super::object::label;
use super::{Bucket, upload};

/// How many objects are examined at once.
const AT_ONCE: usize = 16;

/// An hour, since keys tell the time by the hour.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What one object came to.
#[derive(Debug, Clone, Copy)]
enum Examined {
    /// It was not written in the window, or is gone already.
    Passed,
    Kept,
    /// It is gone now; it had this many bytes.
    Removed(u64),
}

/// An object that was listed.
struct Found {
    /// Its key below the prefix.
    path: String,
    size: u64,
}

/// What is listed together.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Put,
    Multipart,
    /// Hints without an object: those of uploads so old that they have been aborted, and of puts that failed.
    Hint,
}

impl Bucket {
    pub(super) async fn reclaim(
        &self,
        after: Option<Timestamp>,
        before: Timestamp,
        references: &dyn References,
    ) -> Result<Reclaimed, ClaimError> {
        let window = Window { after, before };
        let mut reclaimed = Reclaimed::default();
        self.abort_unfinished(&mut reclaimed).await?;
        // The key of an upload tells when it began, which may be that much earlier.
        let begun = window.earlier_start(self.options.orphan_age + HOUR);
        let ended = window.earlier(self.options.orphan_age + HOUR);
        for shard in 0..SHARDS {
            for (prefix, kind, listed) in [
                ("c", Kind::Put, window),
                ("m", Kind::Multipart, begun),
                ("h/c", Kind::Hint, ended),
                ("h/m", Kind::Hint, ended),
            ] {
                let prefix = format!("{prefix}/{shard:x}/");
                let mut next = listed
                    .after
                    .map(|after| format!("{}{prefix}{}", self.options.prefix, before_hour(after)));
                loop {
                    let (found, more) = self.page(&prefix, next, listed.before).await?;
                    let examined = stream::iter(found)
                        .map(|found| self.examine(kind, window, found, references))
                        .buffer_unordered(AT_ONCE);
                    for outcome in examined.try_collect::<Vec<_>>().await? {
                        count(&mut reclaimed, outcome);
                    }
                    if more.is_none() {
                        break;
                    }
                    next = more;
                }
            }
        }
        Ok(reclaimed)
    }

    /// The next objects below `prefix` whose keys say that they may have been written before `before`, and where to go on.
    async fn page(
        &self,
        prefix: &str,
        start: Option<String>,
        before: Timestamp,
    ) -> Result<(Vec<Found>, Option<String>), ClaimError> {
        let page = self
            .client
            .list_objects_v2()
            .bucket(&self.options.bucket)
            .prefix(self.key(prefix))
            .set_start_after(start)
            .send()
            .await
            .map_err(|error| unavailable(self, "s3:ListBucket", &error))?;
        let more = page.is_truncated.unwrap_or_default();
        let objects = page.contents.unwrap_or_default();
        // Keys go up, and a key goes on after its hour.
        let last = format!("{}{prefix}{}", self.options.prefix, name::hour(before));
        let in_time = |object: &&Object| {
            let key = object.key().unwrap_or_default();
            key.get(..last.len()).unwrap_or(key) <= last.as_str()
        };
        let found: Vec<_> = objects
            .iter()
            .take_while(in_time)
            .map(|object| {
                let key = object.key().unwrap_or_default();
                let path = key.strip_prefix(&self.options.prefix).unwrap_or(key);
                let size = object.size().and_then(|size| u64::try_from(size).ok());
                Found {
                    path: path.to_owned(),
                    size: size.unwrap_or_default(),
                }
            })
            .collect();
        let next = if more && found.len() == objects.len() {
            objects.last().and_then(|object| object.key.clone())
        } else {
            None
        };
        Ok((found, next))
    }

    async fn examine(
        &self,
        kind: Kind,
        window: Window,
        found: Found,
        references: &dyn References,
    ) -> Result<Examined, ClaimError> {
        let Found { path, size } = found;
        let (name, hint) = match kind {
            Kind::Hint => return self.examine_hint(&path, size).await,
            Kind::Multipart => {
                let hint = self.read_hint(&path).await?;
                (Name::Multipart { path }, hint)
            }
            Kind::Put => {
                let Some(head) = self.head(&path).await? else {
                    return Ok(Examined::Passed);
                };
                let Some(label) = label(&head) else {
                    tracing::warn!(key = %self.key(&path), "an object among the claims was not written by Cloakroom; it stays");
                    return Ok(Examined::Passed);
                };
                let hint = match label.hint {
                    Some(hint) => Some(hint),
                    None => self.read_hint(&path).await?,
                };
                let nonce = label.nonce;
                (Name::Put { path, nonce }, hint)
            }
        };
        self.settle(window, &name, size, hint, references).await
    }

    async fn examine_hint(&self, path: &str, size: u64) -> Result<Examined, ClaimError> {
        let object = path.strip_prefix("h/").unwrap_or(path);
        if self.head(object).await?.is_some() {
            return Ok(Examined::Passed);
        }
        self.delete_object(path).await?;
        Ok(Examined::Removed(size))
    }

    /// Asks the ledger, and removes what it does not know.
    async fn settle(
        &self,
        window: Window,
        name: &Name,
        size: u64,
        hint: Option<ClaimHint>,
        references: &dyn References,
    ) -> Result<Examined, ClaimError> {
        let Some(hint) = hint else {
            // Without a hint nobody can say that it is not needed.
            tracing::warn!(key = %self.key(name.path()), "a claim has no hint that can be read; it stays");
            return Ok(Examined::Passed);
        };
        if !window.contains(hint.recorded) {
            return Ok(Examined::Passed);
        }
        if references.is_referenced(&hint, &name.claim()).await? {
            return Ok(Examined::Kept);
        }
        Ok(match self.delete(name).await? {
            true => Examined::Removed(size),
            false => Examined::Passed,
        })
    }

    /// Aborts the multipart uploads that began so long ago that nobody can be waiting for them.
    async fn abort_unfinished(&self, reclaimed: &mut Reclaimed) -> Result<(), ClaimError> {
        let before = self.clock.now().before(self.options.orphan_age);
        let (mut key, mut id) = (None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.options.bucket)
                .prefix(self.key("m/"))
                .set_key_marker(key.take())
                .set_upload_id_marker(id.take())
                .send()
                .await
                .map_err(|error| unavailable(self, "s3:ListBucketMultipartUploads", &error))?;
            for found in page.uploads() {
                let begun = found.initiated().map(|at| Timestamp::from_secs(at.secs()));
                if let (Some(key), Some(id), Some(begun)) = (found.key(), found.upload_id(), begun)
                    && begun < before
                {
                    let path = key.strip_prefix(&self.options.prefix).unwrap_or(key);
                    let removed = upload::abort(self, path, id.to_owned()).await;
                    count(
                        reclaimed,
                        if removed {
                            Examined::Removed(0)
                        } else {
                            Examined::Kept
                        },
                    );
                }
            }
            if !page.is_truncated.unwrap_or_default() {
                return Ok(());
            }
            key = page.next_key_marker;
            id = page.next_upload_id_marker;
            if key.is_none() {
                return Ok(());
            }
        }
    }
}

/// Sorts behind every key of the hour before this one's, and before every key of this one's. (The hour itself would do on
/// S3, but servers that keep keys as directories leave out what is below it.)
fn before_hour(at: Timestamp) -> String {
    format!("{}~", name::hour(at.before(HOUR)))
}

fn count(reclaimed: &mut Reclaimed, outcome: Examined) {
    match outcome {
        Examined::Passed => {}
        Examined::Kept => reclaimed.examined += 1,
        Examined::Removed(bytes) => {
            reclaimed.examined += 1;
            reclaimed.removed += 1;
            reclaimed.bytes += bytes;
        }
    }
}

/// From `after`, inclusive, to `before`, exclusive.
#[derive(Debug, Clone, Copy)]
struct Window {
    after: Option<Timestamp>,
    before: Timestamp,
}

impl Window {
    fn contains(self, at: Timestamp) -> bool {
        at < self.before && self.after.is_none_or(|after| at >= after)
    }

    fn earlier_start(self, by: Duration) -> Self {
        Self {
            after: self.after.map(|after| after.before(by)),
            ..self
        }
    }

    fn earlier(self, by: Duration) -> Self {
        Self {
            before: self.before.before(by),
            ..self.earlier_start(by)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_begins_with_the_hour_and_not_a_key_earlier() {
        let at = Timestamp::from_secs(1_800_000_000);
        let start = before_hour(at);
        let key = |at| format!("{}/zz", name::hour(at));
        assert!(key(at.before(HOUR)) < start);
        assert!(start < name::hour(at));
        assert!(start < key(at));
    }
}
