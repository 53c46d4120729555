//! `replay`: moves a subscription's cursors back, so that its events come again, in order.

use serde_json::json;

use super::done;
use crate::client::{Client, Remote, segment, stream_path};
use crate::exit::{Exit, Outcome};
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The subscription.
    subscription: String,
    /// Where to begin: a position (inclusive; needs --stream), a time (RFC 3339), or `earliest`.
    #[arg(long, value_name = "WHERE")]
    from: String,
    /// Only this stream, as `source/key`. All streams of the subscription without it.
    #[arg(long)]
    stream: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(args: Args, json: bool) -> Outcome {
    let mut body = json!({ "from": args.from });
    if let Some(stream) = &args.stream {
        body["stream"] = stream_path(stream)?.into();
    }
    let path = format!("/v1/subscriptions/{}/replay", segment(&args.subscription));
    let answer = Client::new(&args.remote)?.post(&path, Some(&body)).await?;
    let streams = answer
        .get("streams")
        .map_or_else(|| "?".to_owned(), output::scalar);
    done(
        &answer,
        json,
        format_args!("streams that are sent again: {streams}"),
    )?;
    Ok(Exit::Ok)
}
