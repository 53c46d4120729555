//! `dead-letters`: events that a subscription gave up on and passed over, on record.

use clap::Subcommand;

use super::{done, show_list};
use crate::client::{Client, Limit, Remote, segment};
use crate::exit::{Exit, Outcome};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List dead letters.
    List {
        /// Only of this subscription.
        #[arg(long)]
        subscription: Option<String>,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        remote: Remote,
    },
    /// Send dead letters once more.
    Redrive {
        /// The subscription that gave up on them.
        subscription: String,
        /// The event's id.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// Every dead letter of the subscription.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

const COLUMNS: [(&str, &str); 5] = [
    ("subscription", "/subscription"),
    ("id", "/id"),
    ("stream", "/stream"),
    ("since", "/since"),
    ("reason", "/reason"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List {
            subscription,
            limit,
            remote,
        } => {
            let query: Vec<_> = subscription
                .iter()
                .map(|name| ("subscription", name.as_str()))
                .collect();
            let listed = Client::new(&remote)?
                .list("/v1/dead-letters", &query, limit)
                .await?;
            show_list(&listed, &COLUMNS, json, "no dead letters")?;
        }
        Command::Redrive {
            subscription,
            id,
            all: _,
            remote,
        } => {
            let name = segment(&subscription);
            let path = match &id {
                Some(id) => format!("/v1/dead-letters/{name}/{}/redrive", segment(id)),
                None => format!("/v1/dead-letters/{name}/redrive"),
            };
            let answer = Client::new(&remote)?.post(&path, None).await?;
            let count = answer
                .get("redriven")
                .map_or_else(|| "?".to_owned(), output::scalar);
            done(
                &answer,
                json,
                format_args!("dead letters sent again to {subscription}: {count}"),
            )?;
        }
    }
    Ok(Exit::Ok)
}
