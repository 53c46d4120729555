//! The plain receiver, which many would write in Cloakroom's place: made ready from the files in `bench/plain-receiver`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

const FILES: [(&str, &str); 3] = [
    (
        "package.json",
        include_str!("../../../bench/plain-receiver/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../../bench/plain-receiver/package-lock.json"),
    ),
    (
        "server.mjs",
        include_str!("../../../bench/plain-receiver/server.mjs"),
    ),
];
/// What was installed last: the same lock file need not be installed again.
const INSTALLED: &str = "installed.json";

/// Puts the receiver into a folder below `directory`, with what it needs. Its path.
///
/// # Errors
/// When there is no npm, or it cannot install.
pub(crate) fn install(directory: &Path) -> anyhow::Result<PathBuf> {
    let folder = directory.join("plain-receiver");
    fs::create_dir_all(&folder)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    let (_, lock) = FILES[1];
    let installed = folder.join(INSTALLED);
    if fs::read_to_string(&installed).is_ok_and(|known| known == lock) {
        return Ok(folder);
    }
    let outcome = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .output()
        .context("cannot run npm: install Node 20 or newer, or leave the plain receiver out with --without-plain")?;
    ensure!(
        outcome.status.success(),
        "npm could not install the plain receiver:\n{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
    fs::write(installed, lock)?;
    Ok(folder)
}
