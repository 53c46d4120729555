//! A client that sends what it is told, byte for byte: no connection is shared, no path tidied, no header added.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem of this kind, told as RFC 9457 says, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{name}"), "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["title", "detail", "hint"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member}: {problem}"
            );
        }
        problem
    }

    /// Checks the status, and returns the JSON.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }
}

pub(crate) type Sent = BoxBody<Bytes, Infallible>;

pub(crate) fn whole(body: impl Into<Bytes>) -> Sent {
    Full::new(body.into()).boxed()
}

/// A body without a length, in these chunks.
pub(crate) fn chunked(chunks: Vec<Bytes>) -> Sent {
    let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(chunk)));
    StreamBody::new(stream::iter(frames)).boxed()
}

/// Sends one request on a connection of its own, and returns the answer as soon as its head is there.
pub(crate) async fn open(address: SocketAddr, request: Request<Sent>) -> http::Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

/// Sends one request and reads the whole answer.
pub(crate) async fn send(address: SocketAddr, request: Request<Sent>) -> Reply {
    let (head, body) = open(address, request).await.into_parts();
    Reply {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// A bare connection.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Writes, unless the other side has closed the connection.
    pub(crate) async fn write_as_far_as_possible(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// Reads until what was read satisfies `until`, or the connection ends.
    pub(crate) async fn read_until(&mut self, until: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !until(&text) {
            let mut chunk = [0; 4096];
            match self.0.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => text.push_str(std::str::from_utf8(&chunk[..read]).unwrap()),
            }
        }
        text
    }

    /// Reads until the connection ends.
    pub(crate) async fn read_to_end(&mut self) -> String {
        self.read_until(|_| false).await
    }
}
