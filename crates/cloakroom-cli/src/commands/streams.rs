//! `streams`: where every stream stands, and passing a gap over.

use clap::{Subcommand, ValueEnum};

use super::{done, show, show_list};
use crate::client::{Client, Limit, Remote, stream_path};
use crate::exit::{Exit, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List streams.
    List {
        /// Only those that want attention.
        #[arg(long, value_name = "WHY")]
        attention: Option<Attention>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a stream: its head, its gap, and where every subscription stands.
    Show {
        /// The stream, as `source/key`.
        stream: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Pass the gap over that a stream waits at. What is missing counts as late from then on.
    SkipGap {
        /// The stream, as `source/key`.
        stream: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Why a stream wants attention.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Attention {
    /// A gap is past its deadline.
    Stalled,
    /// A subscription stopped.
    Parked,
}

const COLUMNS: [(&str, &str); 5] = [
    ("stream", "/stream"),
    ("head", "/head"),
    ("missing from", "/gap/from"),
    ("to", "/gap/to"),
    ("deadline", "/gap/deadline"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List {
            attention,
            limit,
            remote,
        } => {
            let client = Client::new(&remote)?;
            let attention = attention.map(|why| match why {
                Attention::Stalled => ("attention", "stalled"),
                Attention::Parked => ("attention", "parked"),
            });
            let query: Vec<_> = attention.into_iter().collect();
            let listed = client.list("/v1/streams", &query, limit).await?;
            show_list(&listed, &COLUMNS, json, "no streams")?;
        }
        Command::Show { stream, remote } => {
            let path = format!("/v1/streams/{}", stream_path(&stream)?);
            show(&Client::new(&remote)?.get(&path, &[]).await?, json)?;
        }
        Command::SkipGap { stream, remote } => {
            let path = format!("/v1/streams/{}/skip-gap", stream_path(&stream)?);
            let answer = Client::new(&remote)?.post(&path, None).await?;
            let number = |name: &str| {
                answer
                    .get(name)
                    .map_or_else(|| "?".to_owned(), crate::output::scalar)
            };
            done(
                &answer,
                json,
                format_args!(
                    "passed over {} to {} of {stream}",
                    number("from"),
                    number("to")
                ),
            )?;
        }
    }
    Ok(Exit::Ok)
}
