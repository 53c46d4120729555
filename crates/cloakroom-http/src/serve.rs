//! The server: connections, their limits, and an orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::ingest;

/// How much of an unfinished head one connection may hold in memory, in bytes, and how much is read or written at once.
/// Looked at between two reads: a head of up to twice this is taken when its end comes with the last of them.
const BUFFER_MAX: usize = 64 * 1024;

/// What a connection is told that is one too many.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: text/plain\r\n\
content-length: 40\r\nconnection: close\r\n\r\nthe server has too many connections now\n";

/// How long accepting rests when the system has nothing left to accept with.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// Serves `app` on `listener` until `shutdown` resolves. Then nothing is accepted any more, long polls and tails end at
/// once, and requests under way have `drain_timeout` to finish; what has not finished by then is cut off.
///
/// # Errors
/// When the listener cannot be used at all. Failures to accept a single connection are not errors.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let router = app.router();
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) if connections.len() >= app.options().max_connections => {
                turn_away(stream);
            }
            Ok((stream, _)) => {
                let connection = connection(stream, app.clone(), router.clone(), cut_off.clone());
                connections.spawn(connection);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                rest().await;
            }
        }
    }
    drop(listener);
    app.draining().cancel();
    connections.close();
    app.tasks().close();
    let drained = async {
        connections.wait().await;
        app.tasks().wait().await;
    };
    if timeout(app.options().drain_timeout, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests under way are cut off"
        );
        cut_off.cancel();
        connections.wait().await;
    }
    Ok(())
}

async fn connection(stream: TcpStream, app: App, router: Router, cut_off: CancellationToken) {
    // An answer is one small write: waiting for more only delays it.
    let _ = stream.set_nodelay(true);
    let draining = app.draining().clone();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(app.options().header_timeout)
        .max_buf_size(BUFFER_MAX);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| answer(app.clone(), router.clone(), request));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = cut_off.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers a connection that is one too many, as far as that is possible without waiting. Those who came earlier keep
/// theirs: idle ones are closed after `header_timeout`, so a place is soon free again.
fn turn_away(stream: TcpStream) {
    counter!("cloakroom_http_connections_refused_total").increment(1);
    // A fresh connection takes so little at once, or is dead.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TURNED_AWAY);
    }
}

/// Webhooks take the short way, past the router and whatever is layered over it.
async fn answer(
    app: App,
    router: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let request = request.map(Body::new);
    if ingest::is_for(&request) {
        return Ok(ingest::receive(State(app), request).await);
    }
    router.call(request).await
}

/// Whether only the connection that was about to be accepted failed.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a listener out of file descriptors waits in real time, whatever the engine's clock says"
)]
async fn rest() {
    tokio::time::sleep(ACCEPT_REST).await;
}
