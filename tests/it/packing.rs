//! `./build-lambdas` up to the building: what it packs, and what it refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

pub(crate) const X86_64: u8 = 62;
pub(crate) const ARM64: u8 = 183;

fn build_lambdas(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build-lambdas");
    Command::new("python3")
        .arg(script)
        .args(arguments)
        .output()
        .unwrap()
}

/// As much of a program as the script looks at.
pub(crate) fn program(folder: &Path, name: &str, machine: u8, needs: &str) -> PathBuf {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0]);
    bytes.extend(b"GLIBC_2.2.5\0");
    bytes.extend(needs.as_bytes());
    bytes.extend([7; 5_000]);
    let file = folder.join(name);
    std::fs::write(&file, bytes).unwrap();
    file
}

fn pack(program: &Path, arch: &str, out: &Path) -> Output {
    let (program, out) = (program.to_str().unwrap(), out.to_str().unwrap());
    build_lambdas(&["--binary", program, "--arch", arch, "--out", out])
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_binary_gives_one_zip_whatever_it_is_called_and_whenever_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut zips = Vec::new();
    for (name, seconds) in [("one", 1), ("other", 2_000_000_000)] {
        let file = program(folder.path(), name, ARM64, "GLIBC_2.34\0");
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        let opened = std::fs::File::options().write(true).open(&file).unwrap();
        opened.set_modified(at).unwrap();
        let out = folder.path().join(format!("out-{name}"));
        let output = pack(&file, "arm64", &out);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        let zip = std::fs::read(out.join("cloakroom-lambda-arm64.zip")).unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(&zip));
        assert!(said.contains(&format!("sha256 {hash}")), "{said}");
        zips.push(zip);
    }
    assert_eq!(zips[0], zips[1]);

    let unpacked = folder.path().join("unpacked");
    let zip = folder.path().join("out-one/cloakroom-lambda-arm64.zip");
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .args([&zip, &unpacked])
        .status();
    assert!(status.unwrap().success());
    assert_eq!(
        std::fs::read(unpacked.join("bootstrap")).unwrap(),
        std::fs::read(folder.path().join("one")).unwrap()
    );
}

#[test]
fn what_lambda_could_not_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = program(folder.path(), "foreign", ARM64, "");
    let said = refusal(&pack(&foreign, "x86_64", folder.path()));
    assert!(said.contains("is no Linux program for x86_64"), "{said}");
    let new = program(folder.path(), "new", X86_64, "GLIBC_2.35\0");
    let said = refusal(&pack(&new, "x86_64", folder.path()));
    assert!(said.contains("needs glibc 2.35, Lambda has 2.34"), "{said}");
    let said = refusal(&pack(&folder.path().join("none"), "x86_64", folder.path()));
    assert!(said.contains("cannot read"), "{said}");
    assert!(!folder.path().join("cloakroom-lambda-x86_64.zip").exists());
}

#[test]
fn arguments_that_make_no_sense_are_named() {
    let output = build_lambdas(&["--binary", "bootstrap"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(refusal(&output).contains("--binary needs --arch"));
    let output = build_lambdas(&["--arch", "mips"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(refusal(&output).contains("arm64"));
}
