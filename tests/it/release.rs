//! `./package` up to the building: what a release consists of, and that it is the same every time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use crate::packing::{ARM64, X86_64, program};

/// As much of the sources as goes into a release, and what must not.
const SOURCES: [(&str, &str); 16] = [
    ("Cargo.toml", "[workspace.package]\nversion = \"1.2.3\"\n"),
    ("README.md", "read me"),
    ("CHANGELOG.md", "changes"),
    ("LICENSE-APACHE", "apache"),
    ("LICENSE-MIT", "mit"),
    ("pipes/resequence.json", "{}"),
    ("crates/cloakroom-aws/src/ledger/table.json", "{ }"),
    ("terraform/terraform.tf", "terraform {}"),
    ("terraform/modules/role/main.tf", "# a role"),
    ("terraform/examples/minimal/cloakroom.yaml", "sources: {}"),
    ("terraform/tests/plan.tftest.hcl", "left out"),
    ("terraform/.terraform/providers/provider", "left out"),
    ("terraform/examples/minimal/.terraform.lock.hcl", "left out"),
    ("terraform/examples/minimal/own.tfvars", "left out"),
    ("terraform/examples/minimal/terraform.tfstate", "left out"),
    (
        "terraform/examples/minimal/terraform.tfstate.backup",
        "left out",
    ),
];

struct Release {
    folder: tempfile::TempDir,
}

impl Release {
    /// Sources that were written at this time.
    fn of(seconds: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        for (path, text) in SOURCES {
            let file = folder.path().join("sources").join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            let opened = std::fs::File::options().write(true).open(&file).unwrap();
            opened.set_modified(at).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn package(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../package");
        let mut command = Command::new("python3");
        command.arg(script).arg("--root").arg(self.path("sources"));
        command.arg("--out").arg(self.path("out"));
        command.args(arguments).output().unwrap()
    }

    /// Packs programs of this architecture.
    fn pack(&self, arch: &str, machine: u8, needs: &str) -> Output {
        let path = |name: &str| {
            let name = format!("{name}-{arch}");
            let file = program(self.folder.path(), &name, machine, needs);
            file.to_str().unwrap().to_owned()
        };
        let (command, function) = (path("command"), path("function"));
        let programs = ["--binary", &command, "--function", &function];
        self.package(&[&["--arch", arch], programs.as_slice()].concat())
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path("out").join(name)).unwrap()
    }

    /// Unpacks an archive; the paths in it.
    fn unpack(&self, name: &str) -> Vec<String> {
        let archive = self.path("out").join(name);
        let run = |arguments: &[&str]| {
            let mut tar = Command::new("tar");
            let tar = tar.current_dir(self.folder.path()).args(arguments);
            let output = tar.arg(&archive).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        run(&["-xzf"]);
        run(&["-tzf"]).lines().map(str::to_owned).collect()
    }
}

fn assert_done(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn one_release_is_the_same_bytes_whenever_and_in_whatever_order_it_is_made() {
    let both = [("x86_64", X86_64), ("arm64", ARM64)];
    let (one, other) = (Release::of(1), Release::of(2_000_000_000));
    for (arch, machine) in both {
        assert_done(&one.pack(arch, machine, "GLIBC_2.28\0"));
    }
    for (arch, machine) in both.into_iter().rev() {
        assert_done(&other.pack(arch, machine, "GLIBC_2.28\0"));
    }
    let names = [
        "cloakroom-1.2.3-arm64-linux.tar.gz",
        "cloakroom-1.2.3-lambda-arm64.zip",
        "cloakroom-1.2.3-lambda-x86_64.zip",
        "cloakroom-1.2.3-terraform.tar.gz",
        "cloakroom-1.2.3-x86_64-linux.tar.gz",
    ];
    for name in names {
        assert!(one.read(name) == other.read(name), "{name} differs");
    }
    let sums = String::from_utf8(one.read("SHA256SUMS")).unwrap();
    let named: Vec<_> = sums.lines().map(|line| &line[66..]).collect();
    assert_eq!(named, names);
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(one.path("out"))
        .status();
    assert!(checked.unwrap().success());
    // What another machine made is gathered as it is.
    let before = one.read("cloakroom-1.2.3-terraform.tar.gz");
    assert_done(&one.package(&["--gather"]));
    assert!(one.read("cloakroom-1.2.3-terraform.tar.gz") == before);
}

#[test]
fn a_release_holds_the_command_and_a_module_that_finds_what_it_reads() {
    let release = Release::of(1);
    assert_done(&release.pack("x86_64", X86_64, "GLIBC_2.28\0"));
    let name = "cloakroom-1.2.3-x86_64-linux";
    let files = release.unpack(&format!("{name}.tar.gz"));
    let expected = [
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "cloakroom",
    ];
    assert_eq!(files, expected.map(|file| format!("{name}/{file}")));
    let command = release.path(name).join("cloakroom");
    let mode = std::os::unix::fs::PermissionsExt::mode(&command.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o755);

    let name = "cloakroom-1.2.3-terraform";
    let files = release.unpack(&format!("{name}.tar.gz"));
    let inside: Vec<_> = SOURCES
        .iter()
        .filter(|(path, text)| path.contains('/') && *text != "left out")
        .map(|(path, _)| *path)
        .chain([
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "target/lambda/cloakroom-lambda-x86_64.zip",
        ])
        .collect();
    let mut expected: Vec<_> = inside.iter().map(|path| format!("{name}/{path}")).collect();
    expected.sort();
    assert_eq!(files, expected);
    let zip = release
        .path(name)
        .join("target/lambda/cloakroom-lambda-x86_64.zip");
    let released = release.read("cloakroom-1.2.3-lambda-x86_64.zip");
    assert!(std::fs::read(zip).unwrap() == released);
}

#[test]
fn what_would_not_run_or_is_missing_is_refused() {
    let release = Release::of(1);
    let refusal = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refusal(release.pack("x86_64", X86_64, "GLIBC_2.30\0"));
    assert!(said.contains("needs glibc 2.30"), "{said}");
    let said = refusal(release.pack("arm64", X86_64, ""));
    assert!(said.contains("no Linux program for arm64"), "{said}");
    let said = refusal(release.package(&["--gather"]));
    assert!(said.contains("no functions of version 1.2.3"), "{said}");
    let said = refusal(release.package(&["--binary", "x"]));
    assert!(said.contains("go together"), "{said}");
    std::fs::remove_dir_all(release.path("sources/terraform")).unwrap();
    let said = refusal(release.pack("x86_64", X86_64, ""));
    assert!(said.contains("no Terraform module"), "{said}");
}
