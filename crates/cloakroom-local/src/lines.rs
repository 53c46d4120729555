//! The `file` and `stdout` sinks: one line of JSON per event.
//!
//! A thread of its own writes each target. What waits while it writes is written together and, for a file, made durable
//! by one `fsync`, before any of it counts as delivered.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::cloudevent::CloudEvent;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};
use tokio::sync::{mpsc, oneshot};

/// How long a write may take before it counts as failed.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most events of one stream in a call.
const BATCH_MAX: usize = 100;
/// The most bytes written before they are made durable.
const WRITE_MAX_BYTES: usize = 8 << 20;
/// How many calls may wait for the thread.
const QUEUE: usize = 256;
/// How a line of ours begins.
const OURS: &[u8] = b"{\"specversion\"";

/// Why a file cannot be appended to.
#[derive(Debug, thiserror::Error)]
#[error("cannot append to {}: {}", path.display(), plain(error))]
pub struct LineSinkError {
    path: PathBuf,
    #[source]
    error: io::Error,
}

/// Writes events as lines. Clones share the thread that writes.
#[derive(Debug, Clone)]
pub struct LineSink {
    kind: &'static str,
    queue: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    lines: Vec<u8>,
    done: oneshot::Sender<Result<(), String>>,
}

impl LineSink {
    /// Appends to a file, which is created when it does not exist.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn file(path: &Path) -> Result<Self, LineSinkError> {
        let error = |error| LineSinkError {
            path: path.to_owned(),
            error,
        };
        let target = Appended::open(path).map_err(error)?;
        Self::spawn("file", Target::File(target)).map_err(error)
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn stdout() -> Result<Self, LineSinkError> {
        Self::spawn("stdout", Target::Stdout).map_err(|error| LineSinkError {
            path: "standard output".into(),
            error,
        })
    }

    fn spawn(kind: &'static str, mut target: Target) -> io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel(QUEUE);
        let work = move || {
            while let Some(first) = jobs.blocking_recv() {
                write_together(&mut target, first, &mut jobs);
            }
        };
        std::thread::Builder::new()
            .name("line-sink".to_owned())
            .spawn(work)?;
        Ok(Self { kind, queue })
    }

    async fn write(&self, lines: Vec<u8>) -> Result<(), String> {
        let (done, answer) = oneshot::channel();
        let gone = || "the thread that writes has ended".to_owned();
        self.queue
            .send(Job { lines, done })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl Sink for LineSink {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        let mut lines = Vec::new();
        for event in events {
            write_line(&mut lines, event);
        }
        let written = tokio::time::timeout(TIMEOUT, self.write(lines)).await;
        match written.unwrap_or_else(|_| Err(format!("not written within {} s", TIMEOUT.as_secs())))
        {
            Ok(()) => Outcome::Delivered,
            Err(reason) => Outcome::Failed {
                reason,
                retry_after: None,
            },
        }
    }

    fn kind(&self) -> &'static str {
        self.kind
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}

/// A structured CloudEvent on one line. JSON whose whitespace has line breaks travels as `data_base64`: its bytes stay
/// what they are.
fn write_line(out: &mut Vec<u8>, outgoing: &Outgoing) {
    let dataref = outgoing.dataref.as_deref();
    let start = out.len();
    CloudEvent::of(&outgoing.event, outgoing.inline.as_deref(), dataref).write_structured(out);
    let is_broken = out[start..]
        .iter()
        .any(|byte| matches!(byte, b'\n' | b'\r'));
    if let (true, Some(payload)) = (is_broken, &outgoing.inline) {
        out.truncate(start);
        CloudEvent::of(&outgoing.event, None, dataref).write_structured(out);
        out.pop();
        out.extend_from_slice(b",\"data_base64\":\"");
        out.extend_from_slice(STANDARD.encode(payload).as_bytes());
        out.extend_from_slice(b"\"}");
    }
    out.push(b'\n');
}

enum Target {
    File(Appended),
    Stdout,
}

/// Writes `first` and what else is waiting, then tells all of them how it went.
fn write_together(target: &mut Target, first: Job, jobs: &mut mpsc::Receiver<Job>) {
    let mut lines = first.lines;
    let mut waiting = vec![first.done];
    while lines.len() < WRITE_MAX_BYTES
        && let Ok(job) = jobs.try_recv()
    {
        lines.extend_from_slice(&job.lines);
        waiting.push(job.done);
    }
    let outcome = match target {
        Target::File(file) => file.append(&lines),
        Target::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(&lines).and_then(|()| out.flush())
        }
    };
    let outcome = outcome.map_err(|error| plain(&error));
    for done in waiting {
        // Nobody waits any more after a timeout; the event is then sent again.
        let _ = done.send(outcome.clone());
    }
}

/// A file that grows by whole lines.
struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        mend(&mut file)?;
        file.sync_all()?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends whole lines durably, or leaves the file as it was.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.was_moved()? {
            *self = Self::open(&self.path)?;
        }
        let before = self.file.metadata()?.len();
        let written = self
            .file
            .write_all(lines)
            .and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(before)?;
        }
        written
    }

    /// Whether the path leads elsewhere by now, as after a rotation.
    fn was_moved(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Cuts off a line of ours that a crash left unfinished: it never counted as delivered and is written again. A line of
/// somebody else's is ended instead.
fn mend(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let start = last_line(file, length)?;
    if start == length {
        return Ok(());
    }
    let mut begin = [0; OURS.len()];
    file.seek(SeekFrom::Start(start))?;
    let tail = (length - start).min(OURS.len() as u64);
    let tail = usize::try_from(tail).expect("it is at most a few bytes");
    file.read_exact(&mut begin[..tail])?;
    if begin[..tail] == OURS[..tail] {
        file.set_len(start)
    } else {
        file.write_all(b"\n")
    }
}

/// Where the last line begins that has no line break at its end.
fn last_line(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let size = usize::try_from(end - start).expect("it is at most a block");
        file.read_exact_at(&mut block[..size], start)?;
        if let Some(at) = block[..size].iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// An error of the operating system as the middle of a sentence: in lower case, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let first = text.chars().take(1).flat_map(char::to_lowercase);
    first.chain(text.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests;
