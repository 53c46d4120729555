//! An HTTP client that counts requests, and lets some of them fail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

/// What happens to one request instead of what should.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It is answered with this status and body, and never sent.
    Answer(u16, String),
    /// It is sent, and its answer is lost.
    LoseAnswer,
}

impl Fault {
    /// An error of the service.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{code}\",\"message\":\"injected\"}}"
        );
        Self::Answer(status, body)
    }
}

/// The faults still to come, and what was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tamper {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: VecDeque<(String, Fault)>,
    sent: Vec<String>,
}

impl Tamper {
    /// The next requests for `action` that no other fault is meant for meet these faults, one each.
    pub(crate) fn inject(&self, action: &str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (action.to_owned(), fault));
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// The actions that were asked for since the last call, in order, tries that were never sent included.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap();
        assert!(state.faults.is_empty(), "not met: {:?}", state.faults);
        std::mem::take(&mut state.sent)
    }

    /// The client itself.
    pub(crate) fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(Client {
            real: cloakroom_aws::http_client(),
            tamper: self.clone(),
        })
    }

    fn next(&self, action: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.sent.push(action.to_owned());
        let place = state.faults.iter().position(|(of, _)| of == action)?;
        state.faults.remove(place).map(|(_, fault)| fault)
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
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let action = target.rsplit('.').next().unwrap_or_default().to_owned();
        match self.tamper.next(&action) {
            None => self.real.call(request),
            Some(Fault::Answer(status, body)) => {
                let status = status.try_into().expect("a valid status");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
            }
            Some(Fault::LoseAnswer) => {
                let call = self.real.call(request);
                HttpConnectorFuture::new(async move {
                    call.await?;
                    Err(ConnectorError::timeout("the answer is lost".into()))
                })
            }
        }
    }
}
