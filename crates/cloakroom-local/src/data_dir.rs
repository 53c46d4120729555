//! The data directory: who may use it, what version it has, and how the last run ended.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::ports::{ClaimError, LedgerError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::claims::LocalClaims;
use crate::disk;
use crate::ledger::LocalLedger;

/// The version of the layout, of the ledger's keys and values, and of the claims' files.
const FORMAT: u32 = 1;

/// What the `format` file holds before the number.
const FORMAT_NAME: &str = "cloakroom data directory, format ";

const URL_KEY_BYTES: usize = 32;

/// Room that new webhooks leave on the disk, for the background work of the store and for retention.
const RESERVE_BYTES: u64 = 128 * 1024 * 1024;

/// The key that signs claim URLs. Wiped from memory when dropped.
pub type UrlKey = Zeroizing<[u8; URL_KEY_BYTES]>;

/// How to open a data directory.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time, for the record of this run.
    pub now: Timestamp,
    /// When less than this is free on the disk, nothing new is taken (128 MiB unless told).
    pub reserve_bytes: u64,
    #[cfg(test)]
    pub(crate) gate: Option<crate::ledger::Gate>,
}

impl Options {
    /// The usual ones, at this time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            reserve_bytes: RESERVE_BYTES,
            #[cfg(test)]
            gate: None,
        }
    }
}

/// The place of everything the embedded form keeps.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Holds the lock.
    lock: File,
}

/// A data directory in use: both adapters, and what goes with them.
#[derive(Debug)]
pub struct LocalStore {
    /// The ledger.
    pub ledger: Arc<LocalLedger>,
    /// The claim store.
    pub claims: Arc<LocalClaims>,
    /// The key that signs claim URLs: the same in every run.
    pub url_key: UrlKey,
    /// How the run before this one went.
    pub last_run: LastRun,
    data_dir: DataDir,
    began: Timestamp,
}

/// What is known of the run before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastRun {
    /// When it began; `None` when there was none. After a crash, only payloads written at or after it can lack their ledger entry.
    pub started: Option<Timestamp>,
    /// Whether it closed the store. `true` when there was none.
    pub ended_cleanly: bool,
}

/// `run.json`. A stored format: it only grows optional fields.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// The start of the first run since the last clean end: crashes in a row all leave payloads behind.
    started: Timestamp,
    ended_cleanly: bool,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "data directory {path:?} is in use by {holder}; stop it, or choose another directory with --data-dir"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
    /// There is a file, not a directory.
    #[error("{path:?} is not a directory; choose another place with --data-dir")]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// The directory holds other things.
    #[error(
        "{path:?} is not empty and is no cloakroom data directory; choose an empty or new directory with --data-dir"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was written by a newer version, or its `format` file is damaged.
    #[error(
        "data directory {path:?} has format {found:?}, and this version of cloakroom knows formats up to {FORMAT}; use the version that wrote it"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// What the `format` file says.
        found: String,
    },
    /// The operating system refused.
    #[error("cannot {what} {path:?}: {error}{}", remedy(error))]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
    /// The signing key is no key.
    #[error(
        "{path:?} does not hold a key; restore it, or remove it to have a new one made (claim URLs handed out before become invalid)"
    )]
    UrlKey {
        /// The key file.
        path: PathBuf,
    },
    /// The ledger does not open.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The claim store does not open.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give this user read and write access to it, or choose another directory with --data-dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; its file system is mounted read-only: choose another directory with --data-dir"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::NotFound => "; the directory above it must exist",
        _ => "",
    }
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |error| OpenError::Io {
        what,
        path: path.to_owned(),
        error,
    }
}

impl DataDir {
    /// Locks the directory at `path`, makes it ready on first use, and opens what is in it.
    pub fn open(path: impl Into<PathBuf>, options: &Options) -> Result<LocalStore, OpenError> {
        let data_dir = Self::lock(path.into())?;
        let url_key = data_dir.url_key()?;
        let (last_run, unclean_since) = data_dir.last_run()?;
        let run = Run {
            started: unclean_since.unwrap_or(options.now),
            ended_cleanly: false,
        };
        data_dir.record(&run)?;
        let claims = LocalClaims::open(&data_dir.path.join("claims"), options)?;
        let flush = claims.flushed_by_ledger();
        let ledger = LocalLedger::open_after(flush, &data_dir.path.join("ledger"), options)?;
        Ok(LocalStore {
            ledger: Arc::new(ledger),
            claims: Arc::new(claims),
            url_key,
            last_run,
            began: options.now,
            data_dir,
        })
    }

    fn lock(path: PathBuf) -> Result<Self, OpenError> {
        match std::fs::metadata(&path) {
            Ok(found) if !found.is_dir() => return Err(OpenError::NotADirectory { path }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(io_error("create", &path))?,
            Err(error) => return Err(io_error("open", &path)(error)),
        }
        let is_new = !path
            .join("format")
            .try_exists()
            .map_err(io_error("read", &path))?;
        if is_new && holds_other_things(&path).map_err(io_error("read", &path))? {
            return Err(OpenError::Foreign { path });
        }
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io_error("write to", &lock_path))?;
        take(&lock, &path, &lock_path)?;
        let note = format!("{}\n", std::process::id());
        let noted = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(note.as_bytes()));
        noted.map_err(io_error("write to", &lock_path))?;
        let format = path.join("format");
        if is_new {
            let text = format!("{FORMAT_NAME}{FORMAT}\n");
            disk::replace_file(&format, text.as_bytes(), 0o644)
                .map_err(io_error("write to", &format))?;
        }
        check_format(&path)?;
        Ok(Self { path, lock })
    }

    fn url_key(&self) -> Result<UrlKey, OpenError> {
        let path = self.path.join("url.key");
        let stored = match std::fs::read(&path) {
            Ok(stored) => Zeroizing::new(stored),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new([0; URL_KEY_BYTES]);
                getrandom::fill(&mut *key).map_err(|error| OpenError::Io {
                    what: "get random bytes for",
                    path: path.clone(),
                    error: io::Error::other(error),
                })?;
                disk::replace_file(&path, &*key, 0o600).map_err(io_error("write to", &path))?;
                return Ok(key);
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let key: [u8; URL_KEY_BYTES] = stored
            .as_slice()
            .try_into()
            .map_err(|_| OpenError::UrlKey { path })?;
        Ok(Zeroizing::new(key))
    }

    /// How the last run went, and since when payloads may have been left behind.
    fn last_run(&self) -> Result<(LastRun, Option<Timestamp>), OpenError> {
        let path = self.path.join("run.json");
        let stored = match std::fs::read(&path) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((
                    LastRun {
                        started: None,
                        ended_cleanly: true,
                    },
                    None,
                ));
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        // A file that does not parse only costs a look at more payloads than needed.
        let run = serde_json::from_slice(&stored).unwrap_or(Run {
            started: Timestamp::from_micros(0),
            ended_cleanly: false,
        });
        let last = LastRun {
            started: Some(run.started),
            ended_cleanly: run.ended_cleanly,
        };
        Ok((last, (!run.ended_cleanly).then_some(run.started)))
    }

    fn record(&self, run: &Run) -> Result<(), OpenError> {
        let path = self.path.join("run.json");
        let text = serde_json::to_vec(run).expect("a run is plain data");
        disk::replace_file(&path, &text, 0o644).map_err(io_error("write to", &path))
    }
}

/// Takes the lock that `lock_path` stands for.
pub(crate) fn take(lock: &File, path: &Path, lock_path: &Path) -> Result<(), OpenError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read =
                File::open(lock_path).and_then(|file| file.take(32).read_to_string(&mut pid));
            let holder = match read {
                Ok(_) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
                _ => "another process".to_owned(),
            };
            Err(OpenError::InUse {
                path: path.to_owned(),
                holder,
            })
        }
        Err(TryLockError::Error(error)) => Err(io_error("lock", lock_path)(error)),
    }
}

/// Whether a directory without a `format` file holds anything but what a first start that was cut short leaves.
fn holds_other_things(path: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name != "lock" && name != "format.next" && name != "lost+found" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks that this version can read the directory.
pub(crate) fn check_format(path: &Path) -> Result<(), OpenError> {
    let format = path.join("format");
    let found = std::fs::read(&format).map_err(io_error("read", &format))?;
    let found = String::from_utf8_lossy(&found).trim().to_owned();
    let known = found
        .strip_prefix(FORMAT_NAME)
        .and_then(|number| number.parse().ok());
    match known {
        Some(FORMAT) => Ok(()),
        _ => Err(OpenError::Format {
            path: path.to_owned(),
            found: found
                .strip_prefix(FORMAT_NAME)
                .unwrap_or(&found)
                .chars()
                .take(80)
                .collect(),
        }),
    }
}

impl LocalStore {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.data_dir.path
    }

    /// Notes that what earlier runs left behind was reclaimed, so that the next start after a crash need only look at what
    /// was written since this run began.
    pub fn reclaimed(&self) -> Result<(), OpenError> {
        self.data_dir.record(&Run {
            started: self.began,
            ended_cleanly: false,
        })
    }

    /// Finishes what was begun, closes the files, and notes that the run ended cleanly. Dropping the store instead is
    /// safe too; the next start then looks for payloads without an entry.
    pub fn close(self) -> Result<(), OpenError> {
        self.ledger.close();
        self.claims.close();
        self.data_dir.record(&Run {
            started: self.began,
            ended_cleanly: true,
        })?;
        let unlocked = self.data_dir.lock.unlock();
        unlocked.map_err(io_error("unlock", &self.data_dir.path))
    }
}
