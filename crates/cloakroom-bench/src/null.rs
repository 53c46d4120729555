//! The server that does nothing: what the same HTTP stack costs by itself, as the measure for the real one.
//!
//! Connections are set up as `cloakroom-http` sets them up. A body is read to its end, and answered with bytes that are as long
//! as a receipt. Told to, it keeps the bodies durably first, and then is the limit of what any receiver can do.

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::keeper::Keeper;

const ANSWER: &[u8] = br#"{"id":"evt_00000000000000000000000000000000000000000000","stream":"transfers/BENCH00000000000","position":"00000000000000000001","status":"accepted"}"#;
/// As in `cloakroom-http`.
const BUFFER_MAX: usize = 64 * 1024;
/// As in the default configuration.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until the process is ended. Keeps bodies in this file, if any.
pub(crate) fn run(port: u16, keep_in: Option<&Path>) -> anyhow::Result<()> {
    let keeper = keep_in.map(Keeper::start).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("cannot listen on port {port}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, keeper.clone()));
        }
    })
}

async fn connection(stream: TcpStream, keeper: Option<Keeper>) {
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_MAX)
        .pipeline_flush(true);
    let service = service_fn(move |request| answer(request, keeper.clone()));
    let connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // However a connection ends, nothing depends on it.
    let _ = connection.await;
}

async fn answer(
    request: Request<Incoming>,
    keeper: Option<Keeper>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut pieces = Vec::new();
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        if keeper.is_some() {
            pieces.extend(frame.into_data());
        }
    }
    let is_kept = match keeper {
        Some(keeper) if !pieces.is_empty() => keeper.keep(pieces).await,
        _ => true,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    *response.status_mut() = match is_kept {
        true => StatusCode::ACCEPTED,
        false => StatusCode::INSUFFICIENT_STORAGE,
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
