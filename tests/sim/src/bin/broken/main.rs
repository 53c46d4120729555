//! Breaks the engine on purpose, in every way the design warns of, and looks whether the simulation sees it.
//!
//! The variants are replacements of text in a copy of the sources under `target/broken`. All of them are in one build:
//! each asks at run time whether it is the one that is wanted, so that one build serves them all. A replacement whose text
//! is not found (once) is an error: the table has to follow the sources.

mod table;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use table::{VARIANTS, Variant};

/// What is copied.
const COPIED: [&str; 3] = [
    "crates/cloakroom-core",
    "crates/cloakroom-engine",
    "tests/sim",
];
/// The environment variable that names the variant to be.
const WANTED: &str = "CLOAKROOM_BROKEN";

/// Runs deliberately broken variants of the engine until the simulation catches them.
#[derive(Debug, Parser)]
struct Args {
    /// The variants to run; all of them if none is named.
    names: Vec<String>,
    /// How many seeds a variant may survive.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// How many seeds the copy must pass while nothing is broken.
    #[arg(long, default_value_t = 40)]
    whole: u64,
    /// Says nothing unless a variant is not caught.
    #[arg(long)]
    quiet: bool,
}

/// How a variant was caught.
struct Caught {
    seed: String,
    by: String,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let unknown = |name: &&String| !VARIANTS.iter().any(|variant| variant.name == **name);
    if let Some(name) = args.names.iter().find(unknown) {
        bail!("there is no variant {name:?}; leave the names out to run all of them");
    }
    let binary = build()?;
    let whole = format!("0..{}", args.whole);
    let passed = simulate(&binary, "", &["--seeds", &whole])?;
    ensure!(
        passed.is_empty(),
        "the copy fails while nothing is broken:\n{passed}"
    );
    let is_wanted =
        |variant: &&Variant| args.names.is_empty() || args.names.iter().any(|n| n == variant.name);
    let wanted: Vec<&Variant> = VARIANTS.iter().filter(is_wanted).collect();
    let found = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(variant) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = catch(&binary, variant, args.seeds);
                    let mut found = found.lock().expect("no thread panics with it");
                    found.push((variant.name, outcome));
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panicked with it");
    let place = |name: &str| wanted.iter().position(|variant| variant.name == name);
    found.sort_by_key(|(name, _)| place(name));
    let mut survived = 0;
    let mut text =
        String::from("| variant | breaks | caught by | at seed |\n| --- | --- | --- | --- |\n");
    for (variant, (name, outcome)) in wanted.iter().zip(found) {
        let (by, seed) = match outcome? {
            Some(caught) => (caught.by, caught.seed),
            None => {
                survived += 1;
                ("NOTHING".to_owned(), format!("none of {}", args.seeds))
            }
        };
        writeln!(text, "| {name} | {} | {by} | {seed} |", variant.breaks)?;
    }
    if !args.quiet || survived > 0 {
        print!("{text}");
    }
    if survived > 0 {
        eprintln!("broken: {survived} variants were not caught");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs seeds until a check that should catches the variant.
fn catch(binary: &Path, variant: &Variant, seeds: u64) -> Result<Option<Caught>> {
    let (seeds, kinds) = (format!("0..{seeds}"), variant.caught_by.join(","));
    let args = ["--threads", "1", "--seeds", &seeds, "--until", &kinds];
    let output = simulate(binary, variant.name, &args)?;
    // `seed 17: order: fact 418: …`
    let caught = output.lines().rev().find_map(|line| {
        let (seed, rest) = line.strip_prefix("seed ")?.split_once(": ")?;
        let (kind, _) = rest.split_once(": ")?;
        variant.caught_by.contains(&kind).then(|| Caught {
            seed: seed.to_owned(),
            by: kind.to_owned(),
        })
    });
    Ok(caught)
}

/// What the simulation prints: nothing when all is well.
fn simulate(binary: &Path, variant: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(binary)
        .args(args)
        .env(WANTED, variant)
        .env("RUST_BACKTRACE", "0")
        .output()
        .with_context(|| format!("failed to run {}", binary.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code().is_some_and(|code| code <= 1),
        "the simulation ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(printed)
}

/// Copies the sources, breaks the copy in every way, and builds it.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let copy = target.join("broken");
    for directory in COPIED {
        let of_old = copy.join(directory).join("src");
        forget_removed(&root.join(directory).join("src"), &of_old)?;
        copy_sources(&root, &copy, Path::new(directory))?;
    }
    workspace(&root, &copy)?;
    for file in files() {
        let text = std::fs::read_to_string(root.join(file))
            .with_context(|| format!("failed to read {file}"))?;
        write_if_new(&copy.join(file), &broken(file, text)?)?;
    }
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--offline",
            "--package",
            "cloakroom-sim-broken",
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&copy)
        .status()
        .context("failed to run cargo")?;
    ensure!(
        status.success(),
        "the broken copy in {} does not build",
        copy.display()
    );
    Ok(target.join("debug/cloakroom-sim-broken"))
}

/// The files that variants change, each once.
fn files() -> Vec<&'static str> {
    let mut files: Vec<_> = VARIANTS.iter().map(|variant| variant.file).collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// A source with every variant of this file in it.
fn broken(file: &str, mut text: String) -> Result<String> {
    for variant in VARIANTS.iter().filter(|variant| variant.file == file) {
        let found = text.matches(variant.find).count();
        ensure!(
            found == 1,
            "{}: its text is found {found} times in {file}, not once; mend the table",
            variant.name
        );
        let module = match file.starts_with("crates/cloakroom-core/") {
            true => "crate",
            false => "cloakroom_core",
        };
        let asks = format!("{module}::broken::is({:?})", variant.name);
        text = text.replace(variant.find, &variant.put.replace("BROKEN", &asks));
    }
    Ok(text)
}

/// The copy's workspace: the real one's settings, fewer members, and a package of another name, so that the builds can
/// share a target directory.
fn workspace(root: &Path, copy: &Path) -> Result<()> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let members = |line: &str| match line.starts_with("members = ") {
        true => format!("members = {COPIED:?}"),
        // Whoever breaks things on purpose needs no advice.
        false => line
            .replace("package.cloakroom-sim]", "package.cloakroom-sim-broken]")
            .replace("= \"warn\"", "= \"allow\""),
    };
    let lines: Vec<String> = manifest.lines().map(members).collect();
    write_if_new(&copy.join("Cargo.toml"), &lines.join("\n"))?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    if !copy.join("Cargo.lock").exists() {
        write_if_new(&copy.join("Cargo.lock"), &lock)?;
    }
    let manifest = "tests/sim/Cargo.toml";
    let text = std::fs::read_to_string(root.join(manifest))?;
    let name = "\"cloakroom-sim\"";
    ensure!(text.contains(name), "{manifest} has another package name");
    let renamed = text.replace(name, "\"cloakroom-sim-broken\"");
    let renamed = renamed.replacen("[package]", "[package]\nautobins = false", 1);
    let targets = "\n[lib]\nname = \"cloakroom_sim\"\n\n[[bin]]\nname = \"cloakroom-sim-broken\"\npath = \"src/main.rs\"\n";
    write_if_new(&copy.join(manifest), &format!("{renamed}{targets}"))?;
    let core = "crates/cloakroom-core/src";
    let library = std::fs::read_to_string(root.join(core).join("lib.rs"))?;
    write_if_new(
        &copy.join(core).join("lib.rs"),
        &format!("{library}\npub mod broken;\n"),
    )?;
    let asks = format!(
        "//! Which variant is wanted.\n\n\
         /// Whether it is this one.\n\
         pub fn is(name: &str) -> bool {{\n\
         \x20   static WANTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();\n\
         \x20   WANTED.get_or_init(|| std::env::var({WANTED:?}).unwrap_or_default()) == name\n\
         }}\n"
    );
    write_if_new(&copy.join(core).join("broken.rs"), &asks)
}

/// Copies sources that no variant changes.
fn copy_sources(root: &Path, copy: &Path, directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(root.join(directory))? {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_sources(root, copy, &path)?;
            continue;
        }
        let is_changed = files().iter().any(|file| Path::new(file) == path)
            || path == Path::new("tests/sim/Cargo.toml")
            || path == Path::new("crates/cloakroom-core/src/lib.rs");
        if !is_changed {
            let bytes = std::fs::read(entry.path())?;
            write_bytes_if_new(&copy.join(&path), &bytes)?;
        }
    }
    Ok(())
}

/// Removes from an older copy what is not in the sources any more.
fn forget_removed(sources: &Path, copy: &Path) -> Result<()> {
    if !copy.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(copy)? {
        let entry = entry?;
        let source = sources.join(entry.file_name());
        let own = entry.file_name() == "broken.rs";
        match entry.file_type()?.is_dir() {
            true if source.exists() => forget_removed(&source, &entry.path())?,
            true => std::fs::remove_dir_all(entry.path())?,
            false if !source.exists() && !own => std::fs::remove_file(entry.path())?,
            false => {}
        }
    }
    Ok(())
}

fn write_if_new(path: &Path, text: &str) -> Result<()> {
    write_bytes_if_new(path, text.as_bytes())
}

/// Leaves alone what is there already, so that nothing is built again for nothing.
fn write_bytes_if_new(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let directory = path.parent().context("a source is in a directory")?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_finds_its_place() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in files() {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            broken(file, text).unwrap();
        }
    }
}
