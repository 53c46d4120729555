//! A server that gives the answers it was told to: for what no emulator can be brought to say.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::config;

/// Ends when it is dropped.
pub(crate) struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

/// A status, headers (each line ended), and a body.
pub(crate) type Answer = (u16, &'static str, &'static str);

impl Scripted {
    /// Gives these answers in turn, and the last one ever after.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<_> = answers.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let number = seen.lock().unwrap().len().min(answers.len() - 1);
                // One at a time: whose answer is whose has to be certain.
                // A connection that asks for nothing, or breaks off, uses up no answer.
                let _ = answer(connection, answers[number], &seen).await;
            }
        });
        Self {
            address,
            requests,
            serving,
        }
    }

    /// A configuration that leads here.
    pub(crate) fn sdk(&self) -> SdkConfig {
        let endpoint = format!("http://{}", self.address);
        config(&endpoint, "us-east-1", "test", "test")
    }

    /// The first lines and headers of all requests, in lower case.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `None` when the connection broke off.
async fn answer(
    connection: TcpStream,
    (status, headers, body): Answer,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    connection.read_exact(&mut vec![0; length]).await.ok()?;
    // Before the answer: whoever has that may look here at once.
    seen.lock().unwrap().push(head);
    let length = match headers.contains("content-length: ") {
        // The answer to a HEAD request tells the length of what it leaves out.
        true => String::new(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let text =
        format!("HTTP/1.1 {status} Scripted\r\n{headers}{length}connection: close\r\n\r\n{body}");
    connection.write_all(text.as_bytes()).await.ok()?;
    connection.shutdown().await.ok()
}
