//! `parked`: streams at which a subscription stopped after its retries were spent.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{done, show_list};
use crate::client::{Client, Limit, Listed, Remote, segment, stream_path};
use crate::exit::{Exit, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what is parked.
    List {
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        remote: Remote,
    },
    /// Send the event that a stream stopped at again, and go on.
    Retry(Place),
    /// Pass the event over that a stream stopped at, on record, and go on.
    Skip(Place),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The subscription.
    subscription: String,
    /// The stream, as `source/key`.
    stream: String,
    #[command(flatten)]
    remote: Remote,
}

const COLUMNS: [(&str, &str); 4] = [
    ("subscription", "/subscription"),
    ("stream", "/stream"),
    ("position", "/position"),
    ("reason", "/reason"),
];

pub(crate) async fn run(command: Command, json: bool) -> Outcome {
    match command {
        Command::List { limit, remote } => {
            let client = Client::new(&remote)?;
            let listed = client
                .list("/v1/streams", &[("attention", "parked")], limit)
                .await?;
            let items = listed.items.iter().flat_map(parked_in).collect();
            let listed = Listed {
                items,
                more: listed.more,
            };
            show_list(&listed, &COLUMNS, json, "nothing is parked")?;
        }
        Command::Retry(place) => act(&place, "retry", "sent again", json).await?,
        Command::Skip(place) => act(&place, "skip", "passed over, on record", json).await?,
    }
    Ok(Exit::Ok)
}

/// The cursors of a stream that are parked, each with its stream.
fn parked_in(stream: &Value) -> Vec<Value> {
    let cursors = stream.get("cursors").and_then(Value::as_object);
    let parked = cursors
        .into_iter()
        .flatten()
        .filter(|(_, cursor)| cursor["state"] == "parked");
    parked
        .map(|(subscription, cursor)| {
            json!({
                "subscription": subscription,
                "stream": stream["stream"],
                "position": cursor["position"],
                "reason": cursor["reason"],
            })
        })
        .collect()
}

async fn act(
    place: &Place,
    verb: &str,
    past: &str,
    json: bool,
) -> Result<(), crate::exit::Failure> {
    let stream = stream_path(&place.stream)?;
    let path = format!(
        "/v1/subscriptions/{}/streams/{stream}/{verb}",
        segment(&place.subscription)
    );
    let answer = Client::new(&place.remote)?.post(&path, None).await?;
    done(
        &answer,
        json,
        format_args!("{past}: {} of {}", place.stream, place.subscription),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parked_cursors_are_listed() {
        let stream = json!({"stream": "s/k", "cursors": {
            "a": {"position": "1", "state": "parked", "reason": "HTTP 500"},
            "b": {"position": "2", "state": "idle"},
        }});
        let expected =
            json!({"subscription": "a", "stream": "s/k", "position": "1", "reason": "HTTP 500"});
        assert_eq!(parked_in(&stream), [expected]);
    }
}
