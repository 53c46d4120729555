//! An HTTP client for the SDK that notes every request, and lets some of them fail.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::sync::Notify;

/// What happens to one request instead of what should.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is answered with this status and body, and never sent.
    Answer(u16, String),
    /// It is never sent, and no answer comes in time.
    LoseRequest,
    /// It is sent, and its answer is lost.
    LoseAnswer,
    /// It is never sent, and nobody is there any more to wait for its answer: see [`Tamper::halted`].
    HaltBefore,
    /// It is sent and answered, and nobody is there any more to take the answer: see [`Tamper::halted`].
    HaltAfter,
    /// It is held back until this is notified, and then goes its way: see [`Tamper::halted`].
    Hold(Arc<Notify>),
}

impl Fault {
    /// An error of DynamoDB.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"injected\"}}"
        );
        Self::Answer(status, body)
    }
}

/// One request and its answer, as far as they are JSON.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// What was asked for: `PutItem`, `PutObject`, …
    pub action: String,
    /// The body of the request; empty where it is a stream.
    pub request: Vec<u8>,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer; kept for DynamoDB only.
    pub answer: Vec<u8>,
}

type Choose = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// The faults still to come, and what was sent. Clones share both.
#[derive(Clone, Default)]
pub struct Tamper {
    state: Arc<Mutex<State>>,
    halted: Arc<Notify>,
}

#[derive(Default)]
struct State {
    faults: VecDeque<(String, Fault)>,
    choose: Option<Choose>,
    sent: Vec<String>,
    exchanges: Vec<Exchange>,
}

impl Tamper {
    /// The next requests for `action` that no other fault is meant for meet these faults, one each.
    pub fn inject(&self, action: &str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (action.to_owned(), fault));
        self.state().faults.extend(faults);
    }

    /// From now on this chooses what happens to each request, by its action, that no fault was injected for.
    pub fn choose(&self, choose: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        self.state().choose = Some(Box::new(choose));
    }

    /// From now on only injected faults happen.
    pub fn calm(&self) {
        self.state().choose = None;
    }

    /// The actions that were asked for since the last call, in order, tries that were never sent included.
    ///
    /// # Panics
    ///
    /// When an injected fault was not met.
    pub fn taken(&self) -> Vec<String> {
        let mut state = self.state();
        assert!(state.faults.is_empty(), "not met: {:?}", state.faults);
        state.exchanges.clear();
        std::mem::take(&mut state.sent)
    }

    /// What was sent and answered since the last call of this or of [`Tamper::taken`], in the order of the answers.
    pub fn exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.state().exchanges)
    }

    /// Returns once a request was halted or is held back. Whoever waits for the answer of a halted one is to be dropped then.
    pub async fn halted(&self) {
        self.halted.notified().await;
    }

    /// A client that sends what is to be sent through `real`.
    pub fn client(&self, real: SharedHttpClient) -> SharedHttpClient {
        let tamper = self.clone();
        SharedHttpClient::new(Client { real, tamper })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds the lock")
    }

    fn next(&self, action: &str) -> Option<Fault> {
        let mut state = self.state();
        state.sent.push(action.to_owned());
        match state.faults.iter().position(|(of, _)| of == action) {
            Some(place) => state.faults.remove(place).map(|(_, fault)| fault),
            None => state.choose.as_mut()?(action),
        }
    }
}

impl fmt::Debug for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tamper").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Client {
    real: SharedHttpClient,
    tamper: Tamper,
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            real: self.real.http_connector(settings, components),
            tamper: self.tamper.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    real: SharedHttpConnector,
    tamper: Tamper,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (action, is_dynamodb) = action(&request);
        let fault = self.tamper.next(&action);
        let body = request.body().bytes().unwrap_or_default().to_vec();
        let (tamper, real) = (self.tamper.clone(), self.real.clone());
        HttpConnectorFuture::new(async move {
            let halt = async {
                tamper.halted.notify_one();
                std::future::pending().await
            };
            match &fault {
                Some(Fault::Answer(status, body)) => {
                    let status = (*status).try_into().expect("a valid status");
                    return Ok(HttpResponse::new(status, SdkBody::from(body.as_str())));
                }
                Some(Fault::LoseRequest) => {
                    return Err(ConnectorError::timeout("no answer comes".into()));
                }
                Some(Fault::HaltBefore) => return halt.await,
                Some(Fault::Hold(release)) => {
                    tamper.halted.notify_one();
                    release.notified().await;
                }
                None | Some(Fault::LoseAnswer | Fault::HaltAfter) => {}
            }
            let mut response = real.call(request).await?;
            let mut answer = Vec::new();
            if is_dynamodb {
                let body = std::mem::replace(response.body_mut(), SdkBody::taken());
                let read = ByteStream::new(body).collect().await;
                answer = read
                    .map_err(|error| ConnectorError::io(error.into()))?
                    .to_vec();
                *response.body_mut() = SdkBody::from(answer.clone());
            }
            tamper.state().exchanges.push(Exchange {
                action,
                request: body,
                status: response.status().as_u16(),
                answer,
            });
            match fault {
                Some(Fault::LoseAnswer) => {
                    Err(ConnectorError::timeout("the answer is lost".into()))
                }
                Some(Fault::HaltAfter) => halt.await,
                _ => Ok(response),
            }
        })
    }
}

/// What a request asks for, and whether it asks DynamoDB.
fn action(request: &HttpRequest) -> (String, bool) {
    if let Some(target) = request.headers().get("x-amz-target") {
        let action = target.rsplit('.').next().unwrap_or_default();
        return (action.to_owned(), target.starts_with("DynamoDB_"));
    }
    // S3: the SDK names most of its actions in the query.
    let query = request.uri().split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').find_map(|pair| pair.strip_prefix("x-id="));
    let action = match (named, request.method()) {
        (Some(named), _) => named,
        (None, "HEAD") => "HeadObject",
        (None, method) => method,
    };
    (action.to_owned(), false)
}
