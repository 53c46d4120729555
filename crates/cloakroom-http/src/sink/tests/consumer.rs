//! A consumer that notes what it receives and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use bytes::Bytes;

pub(super) struct Received {
    pub(super) head: http::request::Parts,
    pub(super) body: Bytes,
    pub(super) from: SocketAddr,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers[name].to_str().unwrap()
    }

    /// The request as text, headers sorted, without the host that changes from run to run.
    pub(super) fn text(&self) -> String {
        let head = &self.head;
        let headers = head.headers.iter().filter(|(name, _)| *name != "host");
        let mut lines: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        let body = self.body.escape_ascii().to_string().replace("\\\"", "\"");
        format!(
            "{} {}\n{}\n\n{body}",
            head.method,
            head.uri,
            lines.join("\n")
        )
    }
}

pub(super) struct Consumer {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Consumer {
    /// Answers every request with what `answer` makes.
    pub(super) async fn start<A>(answer: A) -> Self
    where
        A: Fn() -> Response + Clone + Send + Sync + 'static,
    {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let notes = Arc::clone(&received);
        let handler = move |ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request| async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            notes.lock().unwrap().push(Received { head, body, from });
            answer()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Router::new()
            .fallback(handler)
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { address, received }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks?token=t0ken", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body("ok".into()).unwrap()
}
