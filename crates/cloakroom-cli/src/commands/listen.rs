//! `listen`: a consumer at the terminal. Receives deliveries, verifies them and prints them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use cloakroom_core::secret::SecretRef;
use cloakroom_core::time::Timestamp;
use cloakroom_core::units::Bytes as Size;
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;

use crate::client::http_client;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW, paint};
use crate::receiver::{self, Digested, Received, Receiver};
use crate::wiring;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port to listen on; 0 takes a free one.
    #[arg(long, short, default_value_t = 9000)]
    port: u16,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    host: IpAddr,
    /// Where the secret of the sink is found, e.g. `env:BILLING_SECRET`. Without it nothing is verified.
    #[arg(long, value_name = "REF")]
    secret: Option<SecretRef>,
    /// What to answer.
    #[arg(long, default_value = "204", value_name = "CODE")]
    status: StatusCode,
    /// Answer 500 to the first N tries of every event.
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_first: u32,
    /// Fetch payloads that did not travel along, and check their SHA-256.
    #[arg(long)]
    fetch: bool,
    /// Print the payloads too.
    #[arg(long)]
    data: bool,
    /// Refuse larger requests.
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    max: Size,
}

struct Listener {
    args: Args,
    json: bool,
    receiver: Receiver,
    http: reqwest::Client,
    clock: SystemClock,
    /// How often each event was tried.
    tries: Mutex<HashMap<String, u32>>,
}

pub(crate) async fn run(args: Args, json: bool) -> Outcome {
    let secret = args.secret.as_ref().map(wiring::secret).transpose()?;
    let receiver = Receiver::new(secret.as_ref())
        .map_err(|error| Failure::from_text(Exit::Config, &format!("--secret: {error}")))?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = wiring::bind(address).await?;
    let bound = listener.local_addr().unwrap_or(address);
    let verifying = if receiver.verifies() {
        "verifying"
    } else {
        "not verifying (no --secret)"
    };
    output::note(format_args!(
        "listening on {}, {verifying}; stop with Ctrl-C",
        paint(CYAN, format_args!("http://{bound}"))
    ));
    let state = Arc::new(Listener {
        args,
        json,
        receiver,
        http: http_client(None)?,
        clock: SystemClock::new(),
        tries: Mutex::default(),
    });
    let mut signals = wiring::Signals::new();
    let app = axum::Router::new().fallback(receive).with_state(state);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move { signals.next().await })
        .await
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot serve: {error}")))?;
    Ok(Exit::Ok)
}

async fn receive(State(listener): State<Arc<Listener>>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    let now = listener.clock.now();
    let max = usize::try_from(listener.args.max.get()).unwrap_or(usize::MAX);
    let body = match receiver::read_body(body, max).await {
        Ok(body) => body,
        Err(problem) => return listener.refuse(now, StatusCode::PAYLOAD_TOO_LARGE, &problem),
    };
    if let Err(problem) = listener.receiver.check(&parts.headers, &body, now) {
        return listener.refuse(now, StatusCode::UNAUTHORIZED, &problem);
    }
    let events = match receiver::read(&parts.headers, &body) {
        Ok(events) => events,
        Err(problem) => return listener.refuse(now, StatusCode::BAD_REQUEST, &problem),
    };
    let status = listener.answer(&events);
    for event in &events {
        let payload = listener.look_at_payload(event).await;
        if let Err(failure) = listener.print(now, event, status, &payload) {
            failure.report();
        }
    }
    if listener.json && events.is_empty() {
        output::note("an empty batch");
    }
    status
}

impl Listener {
    fn refuse(&self, now: Timestamp, status: StatusCode, problem: &str) -> StatusCode {
        let mark = paint(RED.bold(), format_args!("refused {}", status.as_u16()));
        output::note(format_args!("{}  {mark}  {problem}", paint(DIM, now)));
        status
    }

    /// What to answer to this try.
    fn answer(&self, events: &[Received]) -> StatusCode {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fail = false;
        for event in events {
            let count = tries
                .entry(event.attribute("id").unwrap_or_default().to_owned())
                .or_default();
            *count += 1;
            fail |= *count <= self.args.fail_first;
        }
        if fail {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            self.args.status
        }
    }

    async fn look_at_payload(&self, event: &Received) -> Result<&'static str, String> {
        let digested = match (&event.data, event.attribute("dataref")) {
            (Some(data), _) => Digested::of(data),
            (None, Some(url)) if self.args.fetch => {
                let fetched = Digested::fetch(&self.http, url).await;
                fetched.map_err(|error| format!("cannot fetch the payload: {error}"))?
            }
            (None, Some(_)) => return Ok("by reference"),
            (None, None) => return Ok("no payload"),
        };
        event.check_payload(&digested)?;
        Ok(if event.data.is_some() {
            "intact"
        } else {
            "fetched, intact"
        })
    }

    fn print(
        &self,
        now: Timestamp,
        event: &Received,
        status: StatusCode,
        payload: &Result<&'static str, String>,
    ) -> Result<(), Failure> {
        if let Err(problem) = payload {
            output::note(paint(RED, problem));
        }
        if self.json {
            let mut shown = event.attributes.clone();
            if let (Some(data), true) = (&event.data, self.args.data) {
                shown.insert("data".to_owned(), String::from_utf8_lossy(data).into());
            }
            return output::line(serde_json::Value::Object(shown));
        }
        let text = |name: &str| output::printable(event.attribute(name).unwrap_or("-").to_owned());
        let size = text("payloadsize")
            .parse()
            .map_or_else(|_| "-".to_owned(), output::size);
        let answered = if status.is_success() { GREEN } else { YELLOW };
        output::line(format_args!(
            "{}  {}  {}  #{}  {size} {}  {}",
            paint(DIM, now),
            paint(answered, status.as_u16()),
            paint(CYAN, text("source")),
            paint(BOLD, text("sequence").trim_start_matches('0')),
            payload.as_deref().unwrap_or("damaged"),
            text("type"),
        ))?;
        match &event.data {
            Some(data) if self.args.data => output::line(String::from_utf8_lossy(data)),
            _ => Ok(()),
        }
    }
}
