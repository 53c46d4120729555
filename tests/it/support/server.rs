//! The `cloakroom` binary as a process. Whatever a test starts ends with it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::PATIENCE;
use super::http::Request;

/// The secret of every source and sink, as Standard Webhooks writes it.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The secret as Adyen writes it.
pub(crate) const HEX_SECRET: &str =
    "5f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// A secret that is any text.
pub(crate) const TEXT_SECRET: &str = "a secret that is any text";

/// A binary that was built with this test.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build -p cloakroom-cli -p cloakroom-lambda` first, with the same profile",
        binary.display()
    );
    binary
}

/// The command in `folder`, without anything of the caller's environment that it would heed.
pub(crate) fn cloakroom(folder: &Path) -> Command {
    let mut command = Command::new(built("cloakroom"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLOAKROOM_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .env("SECRET", SECRET)
        .env("HEX_SECRET", HEX_SECRET)
        .env("TEXT_SECRET", TEXT_SECRET)
        .stdin(Stdio::null());
    command
}

/// What `doctor --deep` finds in the data directory of a stopped server.
pub(crate) fn assert_healthy(folder: &Path) -> Value {
    let output = cloakroom(folder)
        .args(["doctor", "cloakroom-data", "--deep", "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let errors = report["findings"].as_array().unwrap().iter();
    let errors: Vec<&Value> = errors.filter(|one| one["severity"] == "error").collect();
    assert!(errors.is_empty(), "{errors:?}");
    report
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    lines: Mutex<Receiver<String>>,
    /// Where it listens: host and port.
    pub(crate) address: String,
}

impl Server {
    /// Writes the configuration and starts a server on a free port.
    pub(crate) fn start(folder: &Path, config: &str) -> Self {
        Self::start_at(folder, config, "127.0.0.1:0")
    }

    /// Writes the configuration and starts a server at this address.
    pub(crate) fn start_at(folder: &Path, config: &str, address: &str) -> Self {
        Self::start_as(
            cloakroom(folder).args(["serve", "--listen", address]),
            folder,
            config,
        )
    }

    /// Writes the configuration and starts a server by this command.
    pub(crate) fn start_as(command: &mut Command, folder: &Path, config: &str) -> Self {
        std::fs::write(folder.join("cloakroom.yaml"), config).unwrap();
        Self::start_with(command)
    }

    /// Starts a server by this command, which says where its configuration is.
    pub(crate) fn start_with(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = BufReader::new(child.stderr.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            // Read to the end even when nobody listens, or the server would stand still.
            for line in pipe.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut server = Self {
            child,
            lines: Mutex::new(lines),
            address: String::new(),
        };
        let line = server.wait_for("listens on");
        let url = line.split_whitespace().last().unwrap();
        url.trim_start_matches("http://")
            .clone_into(&mut server.address);
        server
    }

    /// The first line of its log that contains `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let lines = self.lines.lock().unwrap();
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("no line has {text:?}; there were:\n{}", seen.join("\n")),
            }
        }
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells the process to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Stops the server in order.
    pub(crate) fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "{status}");
    }

    /// The most memory that the process ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Reads from the API.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = Request::get(path).send(&self.address).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Calls the API.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string().into_bytes();
        let request = Request::post(path).header("content-type", "application/json");
        let answer = request.body(&body).send(&self.address).unwrap();
        assert!(
            (200..300).contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        answer.json()
    }

    /// Sends an unsigned webhook of JSON, which must be taken.
    pub(crate) fn webhook(&self, source: &str, body: &Value) -> Value {
        let body = body.to_string().into_bytes();
        let request = Request::post(&format!("/in/{source}"));
        let request = request.header("content-type", "application/json");
        let answer = request.body(&body).send(&self.address).unwrap();
        assert!((200..300).contains(&answer.status), "{}", answer.text());
        answer.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever stopped it already has nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
