//! `subscriptions`: who gets what, and switching one on again after it said 410.

use clap::Subcommand;

use super::{done, show, show_list};
use crate::client::{Client, Limit, Remote, segment};
use crate::exit::{Exit, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List subscriptions.
    List {
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show a subscription.
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Switch a subscription on again that its consumer ended with 410.
    Enable {
        /// Its name.
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
}

const COLUMNS: [(&str, &str); 5] = [
    ("name", "/name"),
    ("sink", "/sink"),
    ("sources", "/sources"),
    ("state", "/state"),
    ("reason", "/reason"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List { limit, remote } => {
            let listed = Client::new(&remote)?
                .list("/v1/subscriptions", &[], limit)
                .await?;
            show_list(&listed, &COLUMNS, json, "no subscriptions")?;
        }
        Command::Show { name, remote } => {
            let path = format!("/v1/subscriptions/{}", segment(&name));
            show(&Client::new(&remote)?.get(&path, &[]).await?, json)?;
        }
        Command::Enable { name, remote } => {
            let path = format!("/v1/subscriptions/{}/enable", segment(&name));
            let answer = Client::new(&remote)?.post(&path, None).await?;
            done(&answer, json, format_args!("enabled: {name}"))?;
        }
    }
    Ok(Exit::Ok)
}
