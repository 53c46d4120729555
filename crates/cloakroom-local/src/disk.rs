//! Small steps on files that must be durable, and how much room is left.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Makes the entries of a directory durable: what was created, renamed or removed in it.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a small file so that a crash leaves the old content or the new, never a mixture.
pub(crate) fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    let next = path.with_extension("next");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&next)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&next, path)?;
    sync_directory(folder)
}

/// How many bytes an unprivileged process may still write to the file system of `path`.
pub(crate) fn available_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
