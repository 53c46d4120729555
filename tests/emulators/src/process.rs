//! Starts an emulator as a process group of its own, and ends all of it.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::{EmulatorError, at};

/// Runs the server, and ends it when our end of its standard input is closed, by whatever.
const GUARD: &str = include_str!("guard.py");

/// How often, and how many times, a starting server is asked whether it answers: for a minute.
const ASK_EVERY: Duration = Duration::from_millis(25);
const ASK_TIMES: u32 = 2400;

/// How much of the log an error shows.
const LOG_SHOWN_BYTES: usize = 4000;

/// What to start.
pub(crate) struct Launch<'a> {
    /// What errors call it.
    pub(crate) name: &'a str,
    /// The Python that runs the guard.
    pub(crate) python: PathBuf,
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Variables on top of the caller's environment.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Its working directory, where its log goes too; removed when the process has ended.
    pub(crate) folder: TempDir,
}

/// A running emulator. Dropping it ends the process and everything that it started.
#[derive(Debug)]
pub(crate) struct Process {
    guard: Child,
    folder: TempDir,
}

impl Process {
    /// Starts the emulator and waits until `answers` says so.
    pub(crate) fn start(
        launch: Launch<'_>,
        answers: impl Fn() -> bool,
    ) -> Result<Self, EmulatorError> {
        let log = launch.folder.path().join("log.txt");
        let mut guard = Command::new(&launch.python)
            .args(["-c", GUARD])
            .arg(&log)
            .args(&launch.command)
            .envs(launch.env)
            .current_dir(launch.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(at(&launch.python))?;
        // The guard writes nothing there: its standard output ends when the guard does.
        let mut output = guard.stdout.take().expect("the guard's output is piped");
        let (tell, ended) = channel::<()>();
        std::thread::spawn(move || {
            let _ = output.read_to_end(&mut Vec::new());
            drop(tell);
        });
        let process = Self {
            guard,
            folder: launch.folder,
        };
        let failed = |detail: &str| EmulatorError::Start {
            what: launch.name.to_owned(),
            detail: detail.to_owned(),
            log: last_of(&log),
        };
        for _ in 0..ASK_TIMES {
            if answers() {
                return Ok(process);
            }
            if ended.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Disconnected) {
                return Err(failed("it ended"));
            }
        }
        Err(failed("it does not answer"))
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It ends itself with its whole group, at the latest when the group had its time to end in order.
        let _ = self.guard.wait();
    }
}

/// A port of the loopback interface that was free just now.
pub(crate) fn free_port() -> Result<u16, EmulatorError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("127.0.0.1:0"))?;
    let address = listener.local_addr().map_err(at("127.0.0.1:0"))?;
    Ok(address.port())
}

/// Whether an HTTP server at this port of the loopback interface answers this path with anything but an error of its own.
pub(crate) fn answers_http(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let timeout = Duration::from_secs(5);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
        )?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    };
    ask().is_ok_and(|start| start.starts_with("HTTP/1.1 ") && !start.starts_with("HTTP/1.1 5"))
}

fn last_of(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let start = text.len().saturating_sub(LOG_SHOWN_BYTES);
    String::from_utf8_lossy(&text[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch<'static> {
        Launch {
            name: "a script",
            python: "python3".into(),
            command: ["sh", "-c", script].map(OsString::from).to_vec(),
            env: Vec::new(),
            folder: TempDir::new().unwrap(),
        }
    }

    fn is_running(pid: &str) -> bool {
        // A process that has ended but was not reaped yet still has a folder: its state tells.
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_dropped_process_ends_with_everything_that_it_started() {
        // The server heeds no signal, and neither does what it started.
        let launch = shell(
            "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $! > child; echo $$ > self; wait",
        );
        let folder = launch.folder.path().to_owned();
        let started = || folder.join("self").exists();
        let process = Process::start(launch, started).unwrap();
        let read = |name: &str| std::fs::read_to_string(process.folder().join(name)).unwrap();
        let pids = [read("child"), read("self")];
        assert!(pids.iter().all(|pid| is_running(pid)));
        drop(process);
        assert!(!pids.iter().any(|pid| is_running(pid)));
        assert!(!folder.exists());
    }

    #[test]
    fn a_server_that_ends_shows_its_log() {
        let error = Process::start(shell("echo the port is taken; exit 1"), || false).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the port is taken"), "{text}");
        assert!(text.contains("it ended"), "{text}");
    }
}
