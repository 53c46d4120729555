//! A small disk of its own: a tmpfs that can be full or read-only without harm to anything else.
//!
//! It is mounted in a mount namespace that a shell holds open; commands enter that namespace to use it. An ordinary user gets there by a user namespace of their own, root also without one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Mounts, then does what it is told, line by line.
const HOLDER: &str = r#"mount -t tmpfs -o "size=$1" cloakroom-test "$2" && echo ready && cd "$2" &&
    while read -r line; do if eval "$line"; then echo done; else echo failed; fi; done"#;

/// The disk. It goes away with this.
pub(crate) struct Disk {
    holder: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Which namespaces to enter.
    entry: &'static [&'static str],
    path: PathBuf,
}

impl Disk {
    /// A disk of this size (as `mount` reads it), mounted over the empty directory `at`.
    pub(crate) fn mounted(size: &str, at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let ways: [(&[&str], &'static [&'static str]); 2] = [
            (
                &["--user", "--map-root-user", "--mount"],
                &["--user", "--preserve-credentials", "--mount"],
            ),
            (&["--mount"], &["--mount"]),
        ];
        let mut told = String::new();
        for (way, entry) in ways {
            match Self::held(way, entry, size, at) {
                Ok(disk) => return disk,
                Err(error) => told.push_str(&format!("unshare {}: {error}\n", way.join(" "))),
            }
        }
        panic!(
            "this test mounts a small tmpfs in a namespace of its own, and may not:\n{told}\
             it needs `unshare` and `nsenter` (util-linux) and either unprivileged user namespaces (on some systems \
             `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or a container run with a seccomp profile that allows \
             `unshare` and `mount`) or root with CAP_SYS_ADMIN (`docker run --cap-add SYS_ADMIN`)"
        );
    }

    fn held(
        way: &[&str],
        entry: &'static [&'static str],
        size: &str,
        at: &Path,
    ) -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", HOLDER, "sh", size]);
        command.arg(at).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::inherit()).spawn();
        let mut holder = child.map_err(|error| error.to_string())?;
        let orders = holder.stdin.take();
        let mut answers = BufReader::new(holder.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let disk = Self {
            path: at.to_owned(),
            entry,
            holder,
            orders,
            answers,
        };
        // Dropped when it failed, which ends the shell.
        match line.trim() {
            "ready" => Ok(disk),
            _ => Err("the mount was refused".to_owned()),
        }
    }

    /// Where it is, for whoever has entered.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where something on it is, for whoever is outside.
    pub(crate) fn outside_path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// The same command, where the disk can be seen. Its process is the command's own.
    pub(crate) fn entered(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg("--target").arg(self.holder.id().to_string());
        entered.args(self.entry);
        entered.args(["--", "sh", "-c", r#"cd "$0" && exec "$@""#]);
        entered.arg(command.get_current_dir().unwrap_or(Path::new("/")));
        entered.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        entered.stdin(Stdio::null());
        entered
    }

    /// Has the shell run a command on the disk. Whether it succeeded.
    pub(crate) fn tell(&mut self, order: &str) -> bool {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim() == "done"
    }

    /// Takes all room but this many MiB; what was taken before is given back first.
    pub(crate) fn leave_mib(&mut self, mib: u64) {
        self.free();
        // `dd` ends when the disk is full; then a part is given back.
        let _ = self.tell("dd if=/dev/zero of=hog bs=1M 2>/dev/null; dd if=/dev/zero of=rest bs=4k 2>/dev/null; true");
        if mib > 0 {
            let shrunk = format!("truncate -s -{mib}M hog");
            assert!(self.tell(&shrunk));
        }
    }

    /// Gives all room back.
    pub(crate) fn free(&mut self) {
        assert!(self.tell("rm -f hog rest"));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The shell ends when nobody can tell it anything any more, and the mount with it.
        drop(self.orders.take());
        let _ = self.holder.wait();
    }
}
