//! Running the command, and waiting for what it does.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Longer than anything takes on the slowest machine; a wait that lasts so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The command without anything of the caller's environment that it would heed.
pub(crate) fn cloakroom() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cloakroom"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLOAKROOM_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("RUST_LOG")
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1");
    command
}

/// What a run printed, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command to its end.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Ran {
    run_with(folder, args, &[])
}

/// Runs the command to its end with variables in its environment.
pub(crate) fn run_with(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let output = cloakroom()
        .current_dir(folder)
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What a person would see, with the exit code, for a snapshot.
pub(crate) fn shown(ran: &Ran) -> String {
    let section = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("--- {name}\n{}\n", text.trim_end()),
    };
    let code = ran
        .code
        .map_or_else(|| "none".to_owned(), |code| code.to_string());
    format!(
        "{}{}--- exit {code}",
        section("stdout", &ran.out),
        section("stderr", &ran.err)
    )
}

/// A command that goes on until it is stopped. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts the command and reads its standard error.
    pub(crate) fn start(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::begin(folder, args, env, false)
    }

    /// Starts the command and reads its standard output.
    pub(crate) fn start_reading_data(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::begin(folder, args, env, true)
    }

    fn begin(folder: &Path, args: &[&str], env: &[(&str, &str)], data: bool) -> Self {
        let mut command = cloakroom();
        command
            .current_dir(folder)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null());
        if data {
            command.stdout(Stdio::piped()).stderr(Stdio::null());
        } else {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let pipe: Box<dyn std::io::Read + Send> = match data {
            true => Box::new(child.stdout.take().unwrap()),
            false => Box::new(child.stderr.take().unwrap()),
        };
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                if line.is_err() || tell.send(line.unwrap_or_default()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The first line that contains `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!(
                        "no line contains {text:?}; there were:\n{}",
                        seen.join("\n")
                    );
                }
            }
        }
    }

    /// A line that is there already.
    pub(crate) fn line_now(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Tells the process to stop and returns how it ended.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends the process at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever stopped it already has nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a free port, and where it is.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(folder: &Path, config: &str, env: &[(&str, &str)]) -> Self {
        std::fs::write(folder.join("cloakroom.yaml"), config).unwrap();
        let running = Running::start(folder, &["serve", "--listen", "127.0.0.1:0"], env);
        let line = running.wait_for("listens on");
        let url = line.split_whitespace().last().unwrap().to_owned();
        Self { running, url }
    }
}

/// Asks again until `condition` holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        // Each round starts processes and so takes time itself; this keeps the machine free for the others.
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("never: {what}");
}

/// The whole of a file.
pub(crate) fn read(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        file.read_to_string(&mut text).unwrap();
    }
    text
}
