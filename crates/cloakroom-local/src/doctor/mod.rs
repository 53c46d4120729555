//! Examining a data directory that nobody uses: is everything there that was promised?
//!
//! Nothing in the directory is changed. The ledger is opened through a shadow in the temporary directory (links to its
//! tables, copies of its journal), because opening it completes what a crash interrupted.

mod claims;
mod ledger;
mod report;
mod shadow;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cloakroom_engine::ports::LedgerError;

use self::claims::Referenced;
use self::report::Findings;
pub use self::report::{Finding, Report, Severity, Totals};
use crate::claims::Folders;
use crate::data_dir::{self, OpenError};

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every record, and whether each claim is there and undamaged as far as its checksums tell: objects by their ends only.
    Usual,
    /// Every payload as well, against the SHA-256 in its ledger entry.
    Deep,
}

/// Which part of the examination is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Reading every record of the ledger, and the claims they name.
    Ledger,
    /// Reading the segments of small payloads.
    Segments,
    /// Looking at the objects of large payloads.
    Objects,
}

/// How far the examination has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which part.
    pub step: Step,
    /// How many records, segments or objects are done.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
}

/// Why a directory could not be examined.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// It cannot be used, is in use, or is none of ours.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file could not be read.
    #[error("cannot read {path:?}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        error: io::Error,
    },
}

fn io_error<'a>(path: &'a Path) -> impl FnOnce(io::Error) -> DoctorError + 'a {
    move |error| DoctorError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Examines the data directory at `path`. `progress` is told now and then how far it has come.
pub fn doctor(
    path: &Path,
    depth: Depth,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, DoctorError> {
    let _lock = lock(path)?;
    let folders = Folders::in_folder(&path.join("claims"));
    let mut findings = Findings::default();
    let mut totals = Totals::default();
    let mut referenced = Referenced::new(&folders, depth);
    match examine_ledger(path, &mut findings, &mut totals, &mut referenced, progress) {
        Ok(()) => {}
        Err(Unopened::Shadow(error)) => return Err(error),
        Err(Unopened::Ledger(error)) => {
            findings.add(Severity::Error, "ledger-unreadable", error.to_string());
        }
    }
    claims::examine(&folders, &referenced, &mut findings, &mut totals, progress)?;
    Ok(Report {
        path: path.to_owned(),
        findings: findings.done(),
        totals,
    })
}

/// Why the ledger was not examined to its end.
enum Unopened {
    Shadow(DoctorError),
    Ledger(LedgerError),
}

fn examine_ledger(
    path: &Path,
    findings: &mut Findings,
    totals: &mut Totals,
    referenced: &mut Referenced<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Unopened> {
    let folder = path.join("ledger");
    if !folder
        .try_exists()
        .map_err(|error| Unopened::Shadow(io_error(&folder)(error)))?
    {
        findings.add(Severity::Error, "ledger-missing", "ledger/".to_owned());
        return Ok(());
    }
    totals.ledger_bytes =
        shadow::size(&folder).map_err(|error| Unopened::Shadow(io_error(&folder)(error)))?;
    let shadow =
        shadow::make(&folder).map_err(|error| Unopened::Shadow(io_error(&folder)(error)))?;
    let examined = ledger::examine(shadow.path(), findings, totals, referenced, progress);
    examined.map_err(Unopened::Ledger)
}

/// Keeps servers away for the time of the examination, without writing anything.
fn lock(path: &Path) -> Result<File, DoctorError> {
    if !path.is_dir() {
        return Err(OpenError::NotADirectory {
            path: path.to_owned(),
        }
        .into());
    }
    let lock_path = path.join("lock");
    let lock = match File::open(&lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
            }
            .into());
        }
        Err(error) => return Err(io_error(&lock_path)(error)),
    };
    data_dir::take(&lock, path, &lock_path)?;
    data_dir::check_format(path)?;
    Ok(lock)
}
