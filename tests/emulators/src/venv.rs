//! Installs emulators from PyPI, each in a virtual environment of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{EmulatorError, at};

/// A virtual environment with one package and what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment `name` with exactly this requirement (`package==version`), installed now if it is not there yet.
    /// Any number of processes may ask at once: one of them installs, the others wait for it.
    pub(crate) fn with(name: &str, requirement: &str) -> Result<Self, EmulatorError> {
        let root = root();
        fs::create_dir_all(&root).map_err(at(&root))?;
        let lock = lock(&root.join(format!("{name}.lock")))?;
        let venv = Self {
            folder: root.join(name),
        };
        if !venv.has(requirement) {
            venv.install(requirement)?;
        }
        drop(lock);
        Ok(venv)
    }

    /// Its Python.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// A program that the package brought.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The marker is written last, so that an installation that was cut short is done again.
    fn marker(&self) -> PathBuf {
        self.folder.join("installed.txt")
    }

    fn has(&self, requirement: &str) -> bool {
        fs::read_to_string(self.marker()).is_ok_and(|installed| installed == requirement)
    }

    fn install(&self, requirement: &str) -> Result<(), EmulatorError> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(at(&self.folder))?;
        }
        if Command::new("python3").arg("--version").output().is_err() {
            return Err(EmulatorError::Missing {
                program: "python3",
                remedy: "install Python 3.10 or newer with its venv module",
            });
        }
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&self.folder);
        run(
            &mut make,
            requirement,
            "install python3-venv, then run the tests again",
        )?;
        let mut pip = Command::new(self.python());
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", requirement]);
        run(
            &mut pip,
            requirement,
            "the tests need PyPI, or a mirror that pip is configured for, the first time they run",
        )?;
        fs::write(self.marker(), requirement).map_err(at(self.marker()))
    }
}

/// Where emulators are installed: outside any profile, so that every build shares them.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/emulators")
}

/// Waits for the lock; it is given back when the file is dropped, also by the end of the process.
pub(crate) fn lock(path: &Path) -> Result<File, EmulatorError> {
    let file = File::create(path).map_err(at(path))?;
    file.lock().map_err(at(path))?;
    Ok(file)
}

/// Runs one step of an installation.
pub(crate) fn run(
    command: &mut Command,
    what: &str,
    remedy: &'static str,
) -> Result<(), EmulatorError> {
    let failed = |detail| EmulatorError::Install {
        what: what.to_owned(),
        detail,
        remedy,
    };
    let output = command.output().map_err(|error| {
        failed(format!(
            "{}: {error}",
            command.get_program().to_string_lossy()
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(format!(
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&said).trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_tells_what_it_said_and_what_to_do() {
        let mut step = Command::new("sh");
        step.args(["-c", "echo no such package >&2; exit 3"]);
        let error = run(&mut step, "nothing==1", "look at it").unwrap_err();
        let text = error.to_string();
        for part in ["nothing==1", "no such package", "look at it"] {
            assert!(text.contains(part), "{text}");
        }
        let gone = run(&mut Command::new("no-such-program"), "x", "y").unwrap_err();
        assert!(gone.to_string().contains("no-such-program"), "{gone}");
    }
}
