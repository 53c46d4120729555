//! `quarantine`: verified webhooks that could not be placed.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::{done, show, show_list};
use crate::client::{Client, Limit, Remote, segment};
use crate::exit::{Exit, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what waits in quarantine.
    List {
        /// Only of this source.
        #[arg(long)]
        source: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a quarantined webhook.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make it an event after all.
    Release {
        /// Its id.
        id: String,
        /// The ordering key it lacks.
        #[arg(long)]
        key: Option<String>,
        /// The sequence it lacks.
        #[arg(long)]
        sequence: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Keep it for the record only.
    Discard {
        /// Its id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

const COLUMNS: [(&str, &str); 5] = [
    ("id", "/id"),
    ("source", "/source"),
    ("reason", "/reason"),
    ("detail", "/detail"),
    ("recorded", "/recorded"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List {
            source,
            limit,
            remote,
        } => {
            let query: Vec<_> = source
                .iter()
                .map(|source| ("source", source.as_str()))
                .collect();
            let listed = Client::new(&remote)?
                .list("/v1/quarantine", &query, limit)
                .await?;
            show_list(&listed, &COLUMNS, json, "the quarantine is empty")?;
        }
        Command::Show { id, remote } => {
            let path = format!("/v1/events/{}", segment(&id));
            show(&Client::new(&remote)?.get(&path, &[]).await?, json)?;
        }
        Command::Release {
            id,
            key,
            sequence,
            remote,
        } => {
            let path = format!("/v1/quarantine/{}/release", segment(&id));
            let given = [("key", key), ("sequence", sequence)];
            let body: Map<String, Value> = given
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))))
                .collect();
            let answer = Client::new(&remote)?
                .post(&path, Some(&Value::Object(body)))
                .await?;
            done(&answer, json, format_args!("released: {id}"))?;
        }
        Command::Discard { id, remote } => {
            let path = format!("/v1/quarantine/{}/discard", segment(&id));
            let answer = Client::new(&remote)?.post(&path, None).await?;
            done(&answer, json, format_args!("discarded: {id}"))?;
        }
    }
    Ok(Exit::Ok)
}
