//! `events`: one event, a stream's events in order, and watching what leaves.

use clap::Subcommand;
use serde_json::Value;

use super::show;
use crate::client::{Client, Remote, causes, segment, stream_path};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show an event and what became of it.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the released events of a stream, in order.
    List {
        /// The stream, as `source/key`.
        stream: String,
        /// Only those after this sequence.
        #[arg(long)]
        after: Option<String>,
        /// Show at most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        #[command(flatten)]
        remote: Remote,
    },
    /// Print the events of a subscription as they are released, until stopped. Moves nothing.
    Tail {
        /// The subscription.
        subscription: String,
        /// Begin after the event with this id.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

const COLUMNS: [&str; 5] = ["sequence", "type", "id", "recorded", "size"];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::Show { id, remote } => {
            let path = format!("/v1/events/{}", segment(&id));
            show(&Client::new(&remote)?.get(&path, &[]).await?, json)?;
        }
        Command::List {
            stream,
            after,
            limit,
            remote,
        } => {
            let path = format!("/v1/streams/{}/events", stream_path(&stream)?);
            let limit = limit.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(after.iter().map(|after| ("after", after.as_str())));
            let events = Client::new(&remote)?.get(&path, &query).await?;
            if json {
                output::json(&events)?;
            } else {
                let rows = events.as_array().into_iter().flatten().map(row).collect();
                output::table(&COLUMNS, rows)?;
            }
        }
        Command::Tail {
            subscription,
            after,
            remote,
        } => {
            tail(&Client::new(&remote)?, &subscription, after, json).await?;
        }
    }
    Ok(Exit::Ok)
}

fn row(event: &Value) -> Vec<String> {
    let attribute = |name: &str| {
        event
            .get(name)
            .map_or_else(|| "-".to_owned(), output::scalar)
    };
    let size = event
        .get("payloadsize")
        .and_then(Value::as_str)
        .and_then(|size| size.parse().ok());
    vec![
        number(&attribute("sequence")),
        attribute("type"),
        attribute("id"),
        attribute("recordedtime"),
        size.map_or_else(|| "-".to_owned(), output::size),
    ]
}

/// A sequence without the zeros that pad it.
fn number(sequence: &str) -> String {
    match sequence.trim_start_matches('0') {
        "" => sequence.chars().take(1).collect(),
        significant => significant.to_owned(),
    }
}

/// Prints events until the server or the user ends it. Takes the connection up again after the last event seen.
async fn tail(
    client: &Client,
    subscription: &str,
    after: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let path = format!("/v1/subscriptions/{}/events", segment(subscription));
    let mut response = client.watch(&path, after.as_deref()).await?;
    output::note(output::paint(
        output::DIM,
        format_args!("waiting for events of {subscription}; stop with Ctrl-C"),
    ));
    let mut reader = Messages::default();
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            let message = format!("the connection to the server was lost: {}", causes(&error));
            Failure::new(Exit::Unreachable, message)
                .hint("run it again with --after and the last id")
        })?;
        let Some(chunk) = chunk else {
            output::note("the server ended the stream");
            return Ok(());
        };
        for message in reader.push(&chunk) {
            match serde_json::from_slice::<Value>(&message) {
                Ok(event) if !json => output::line(row(&event).join("  "))?,
                // The bytes as they came: payloads are never written anew.
                _ => output::line(String::from_utf8_lossy(&message))?,
            }
        }
    }
}

/// Takes server-sent events apart.
#[derive(Default)]
struct Messages {
    line: Vec<u8>,
    data: Vec<u8>,
}

impl Messages {
    /// The data of the messages that end in `chunk`.
    fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut done = Vec::new();
        for &byte in chunk {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                if !self.data.is_empty() {
                    done.push(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data
                    .extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_put_together_from_any_chunks() {
        let text = b": hello\r\n\r\nid: 1\ndata: {\"a\":\ndata: 1}\n\nevent: x\ndata:b\n\ndata: unfinished";
        for size in 1..=text.len() {
            let mut reader = Messages::default();
            let found: Vec<Vec<u8>> = text
                .chunks(size)
                .flat_map(|chunk| reader.push(chunk))
                .collect();
            assert_eq!(
                found,
                [b"{\"a\":\n1}".to_vec(), b"b".to_vec()],
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn a_sequence_loses_its_zeros_but_not_itself() {
        assert_eq!(number("00000000000000000007"), "7");
        assert_eq!(number("00000000000000000000"), "0");
        assert_eq!(number("00000000000000000010"), "10");
        assert_eq!(number("-"), "-");
    }
}
