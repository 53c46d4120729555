//! `dead-letters`: events that a subscription gave up on and passed over, on record.

use clap::Subcommand;

use super::{done, show_list};
use crate::client::{Client, Limit, Remote, segment};
use crate::exit::{Exit, Outcome};

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
    /// Send a dead letter once more.
    Redrive {
        /// The subscription that gave up on it.
        subscription: String,
        /// The event's id.
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

const COLUMNS: [(&str, &str); 5] = [
    ("subscription", "/subscription"),
    ("id", "/id"),
    ("stream", "/stream"),
    ("attempts", "/attempts"),
    ("reason", "/reason"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List { subscription, limit, remote } => {
            let query: Vec<_> = subscription.iter().map(|name| ("subscription", name.as_str())).collect();
            let listed = Client::new(&remote)?.list("/v1/dead-letters", &query, limit).await?;
            show_list(&listed, &COLUMNS, json, "no dead letters")?;
        }
        Command::Redrive { subscription, id, remote } => {
            let path = format!("/v1/dead-letters/{}/{}/redrive", segment(&subscription), segment(&id));
            let answer = Client::new(&remote)?.post(&path, None).await?;
            done(&answer, json, format_args!("sent again: {id} to {subscription}"))?;
        }
    }
    Ok(Exit::Ok)
}
