//! A shadow of the ledger's folder that can be opened, and changed, without touching the ledger.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

/// Files in folders of this name are written once and only ever removed, so a link to them is as good as a copy.
const TABLES: &str = "tables";

/// Makes a shadow of `folder` in the temporary directory. It is removed when dropped.
pub(super) fn make(folder: &Path) -> io::Result<TempDir> {
    let shadow = tempfile::Builder::new()
        .prefix("cloakroom-doctor-")
        .tempdir()?;
    mirror(&folder.canonicalize()?, shadow.path())?;
    Ok(shadow)
}

fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    let is_of_tables = from.file_name().is_some_and(|name| name == TABLES);
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            mirror(&entry.path(), &target)?;
        } else if is_of_tables {
            symlink(entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The bytes of all files in a folder.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata()? {
            found if found.is_dir() => size(&entry.path())?,
            found => found.len(),
        };
    }
    Ok(bytes)
}
