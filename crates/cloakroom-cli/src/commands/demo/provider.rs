//! The provider: signs as Adyen does, and sends what its script says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::secret::Secret;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};
use cloakroom_engine::ports::Clock as _;
use cloakroom_engine::system::SystemClock;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::script::{Place, Script, Step};
use super::view::{Happening, Verdict};
use super::{PATIENCE, Sabotage};
use crate::client::{causes, http_client};
use crate::exit::{Exit, Failure};

/// How many requests may be under way at once.
const UNDER_WAY_MAX: usize = 32;
/// How long to leave a server alone that asks for it.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where and how to send.
pub(super) struct Source {
    pub(super) url: String,
    pub(super) key: Secret,
}

/// What the server said to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) place: Place,
    pub(super) forged: bool,
    pub(super) verdict: Verdict,
    /// The id in the receipt.
    pub(super) id: Option<String>,
}

pub(super) struct Provider {
    script: Script,
    sabotage: Option<Sabotage>,
    post: Arc<Post>,
    clock: Arc<SystemClock>,
}

/// What every request needs.
struct Post {
    http: reqwest::Client,
    url: String,
    signer: Signer,
    clock: Arc<SystemClock>,
    answers: Mutex<Vec<Answer>>,
    happenings: UnboundedSender<Happening>,
}

impl Provider {
    pub(super) fn new(
        script: Script,
        source: &Source,
        sabotage: Option<Sabotage>,
        clock: Arc<SystemClock>,
        happenings: UnboundedSender<Happening>,
    ) -> Result<Self, Failure> {
        let signer = Signer::new(&Scheme::new(SchemeName::Adyen), &source.key)
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot sign: {error}")))?;
        let post = Post {
            http: http_client(Some(PATIENCE))?,
            url: source.url.clone(),
            signer,
            clock: Arc::clone(&clock),
            answers: Mutex::default(),
            happenings,
        };
        Ok(Self {
            script,
            sabotage,
            post: Arc::new(post),
            clock,
        })
    }

    /// How many events there are.
    pub(super) fn total(&self) -> usize {
        self.script.webhooks.len()
    }

    /// The one that is held back.
    pub(super) fn withheld(&self) -> Place {
        self.script.webhooks[self.script.withheld].place
    }

    /// How many cannot leave before it.
    pub(super) fn waiting_behind_withheld(&self) -> usize {
        let withheld = self.withheld();
        let waits = |place: Place| {
            place.transfer == withheld.transfer && place.sequence > withheld.sequence
        };
        self.script
            .webhooks
            .iter()
            .filter(|webhook| waits(webhook.place))
            .count()
    }

    /// Sends everything but the one that is held back, spread over `pace`, and waits for the answers.
    pub(super) async fn send_most(&self, pace: Duration) {
        let start = self.clock.now();
        let steps = u32::try_from(self.script.steps.len())
            .unwrap_or(u32::MAX)
            .max(1);
        let mut under_way = JoinSet::new();
        for (turn, step) in (0..).zip(&self.script.steps) {
            self.clock
                .sleep_until(start.after(pace / steps * turn))
                .await;
            if under_way.len() >= UNDER_WAY_MAX {
                under_way.join_next().await;
            }
            let post = Arc::clone(&self.post);
            let (place, forged, signed, body) = self.request_of(*step);
            under_way.spawn(async move { post.send(place, forged, signed, body).await });
        }
        under_way.join_all().await;
    }

    /// About what, whether forged, what is signed, and what is sent.
    fn request_of(&self, step: Step) -> (Place, bool, Bytes, Bytes) {
        match step {
            Step::Send(index) => {
                let webhook = &self.script.webhooks[index];
                let body = webhook.body.clone();
                (webhook.place, false, body.clone(), body)
            }
            Step::Forge(index) => {
                let webhook = &self.script.webhooks[index];
                let altered = webhook.altered();
                let signed = match self.sabotage {
                    Some(Sabotage::Forge) => altered.clone(),
                    _ => webhook.body.clone(),
                };
                (webhook.place, true, signed, altered)
            }
        }
    }

    /// Sends the one that was held back.
    pub(super) async fn send_withheld(&self) {
        let (place, forged, signed, body) = self.request_of(Step::Send(self.script.withheld));
        self.post.send(place, forged, signed, body).await;
    }

    /// What the server said, in the order in which it said it.
    pub(super) fn answers(&self) -> Vec<Answer> {
        self.post
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Post {
    /// Sends `body` with the signature of `signed`.
    async fn send(&self, place: Place, forged: bool, signed: Bytes, body: Bytes) {
        let size = body.len() as u64;
        let (verdict, id) = match self.request(signed, body).await {
            Ok(answer) => answer,
            Err(problem) => (Verdict::Failed(problem), None),
        };
        let _ = self.happenings.send(Happening::Arrived {
            place,
            size,
            verdict: verdict.clone(),
            forged,
        });
        let answer = Answer {
            place,
            forged,
            verdict,
            id,
        };
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(answer);
    }

    fn sign(&self, body: &[u8]) -> Result<Vec<(String, String)>, String> {
        let head = RequestHead {
            method: "POST",
            url: &self.url,
            headers: &Vec::<(&str, &[u8])>::new(),
        };
        // Adyen signs the body alone: neither an id nor the time.
        self.signer
            .sign(&head, "", self.clock.now(), body)
            .map_err(|error| error.to_string())
    }

    /// Sends a webhook, again when the server asks for it, as providers do.
    async fn request(
        &self,
        signed: Bytes,
        body: Bytes,
    ) -> Result<(Verdict, Option<String>), String> {
        let signature = self.sign(&signed)?;
        let give_up = self.clock.now().after(PATIENCE);
        loop {
            let mut request = self
                .http
                .post(&self.url)
                .header("content-type", "application/json");
            for (name, value) in &signature {
                request = request.header(name, value);
            }
            let response = request
                .body(body.clone())
                .send()
                .await
                .map_err(|error| causes(&error))?;
            let status = response.status().as_u16();
            if matches!(status, 429 | 503) && self.clock.now() < give_up {
                self.clock
                    .sleep_until(self.clock.now().after(AGAIN_AFTER))
                    .await;
                continue;
            }
            let receipt = response.bytes().await.map_err(|error| causes(&error))?;
            return Ok(verdict(status, &receipt));
        }
    }
}

/// What an answer means, and the id in its receipt.
fn verdict(status: u16, receipt: &[u8]) -> (Verdict, Option<String>) {
    let receipt: Value = serde_json::from_slice(receipt).unwrap_or(Value::Null);
    let verdict = match (status, receipt["status"].as_str()) {
        (202, Some("accepted")) => Verdict::Accepted,
        (200, Some("duplicate")) => Verdict::Duplicate,
        (401, _) => Verdict::Refused,
        (status, said) => Verdict::Failed(format!("{status} {}", said.unwrap_or_default())),
    };
    (verdict, receipt["id"].as_str().map(str::to_owned))
}
