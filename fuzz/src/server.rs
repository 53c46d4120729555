//! HTTP framing: whatever arrives on a connection is answered in well-formed HTTP, is never a failure of the server, and becomes
//! as many events as were acknowledged.
//!
//! Input: what the client sends before it closes its half of the connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloakroom_core::ordering::Rule;
use cloakroom_core::secret::Secret;
use cloakroom_core::select::Selector;
use cloakroom_core::verify::{Scheme, SchemeName, Verifier};
use cloakroom_engine::catalog::{Catalog, InBody, Source};
use cloakroom_engine::intake::Budget;
use cloakroom_engine::memory::{MemoryClaims, MemoryLedger};
use cloakroom_engine::record::Record;
use cloakroom_engine::system::{SystemClock, SystemEntropy};
use cloakroom_engine::{Engine, Parts, Settings};
use cloakroom_http::{App, ClaimUrls, Options, serve};
use tokio::runtime::Runtime;

/// After so many connections a new server is started: events gather in memory.
const CONNECTIONS: usize = 500;

/// A connection that is silent for so long is stuck.
const STUCK: Duration = Duration::from_secs(60);

/// The target.
pub fn run(data: &[u8]) {
    static SERVER: Mutex<Option<Server>> = Mutex::new(None);
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server = match &mut *server {
        Some(server) if server.connections < CONNECTIONS => server,
        other => other.insert(Server::start()),
    };
    server.connections += 1;
    let before = server.events();
    let answers = talk(server.address, data);
    let statuses = statuses(&answers);
    // 501 is where uploads are not offered.
    if let Some(failure) = statuses.iter().find(|status| **status == 500) {
        panic!("{failure}: {}", String::from_utf8_lossy(&answers));
    }
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    // Who closes this half counts as gone: the last answer may be missing, though what it would have told is done.
    let events = server.events() - before;
    let answers = String::from_utf8_lossy(&answers);
    assert!(
        events >= accepted && events <= accepted + 1,
        "{events} events: {answers}"
    );
}

struct Server {
    /// The workers end with it.
    _runtime: Runtime,
    ledger: Arc<MemoryLedger>,
    address: SocketAddr,
    connections: usize,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime starts");
        let ledger = Arc::new(MemoryLedger::new());
        let address = runtime.block_on(listen(Arc::clone(&ledger)));
        Self {
            _runtime: runtime,
            ledger,
            address,
            connections: 0,
        }
    }

    fn events(&self) -> usize {
        let records = self.ledger.dump();
        records
            .iter()
            .filter(|record| matches!(record, Record::Event(_)))
            .count()
    }
}

async fn listen(ledger: Arc<MemoryLedger>) -> SocketAddr {
    let minute = Duration::from_secs(60);
    let urls = ClaimUrls::new("https://hooks.example", &Secret::new("a key"), minute);
    let engine = Engine::start(Parts {
        catalog: Catalog::new(vec![source()], vec![]),
        settings: Settings {
            inline_max: 1 << 10,
            ledger_only_max: 1 << 20,
            retention: minute,
        },
        budget: Budget::new(100, 1 << 20),
        ledger,
        claims: Arc::new(MemoryClaims::new()),
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
        links: Arc::new(urls.clone()),
    });
    let engine = engine.await.expect("an engine in memory starts");
    let options = Options {
        public_url: "https://hooks.example".to_owned(),
        admin_token: Some(Secret::new("never a part of any input")),
        header_timeout: minute,
        read_timeout: minute,
        body_timeout: minute,
        max_connections: 100,
        drain_timeout: minute,
    };
    let app = App::new(engine, urls, options, None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(serve(listener, app, std::future::pending()));
    address
}

/// Takes everything: every request is another event, doubles included.
fn source() -> Source {
    Source {
        name: "open".into(),
        generation: 1,
        rule: Rule::Arrival,
        ordering: "arrival".into(),
        verifier: Verifier::new(&Scheme::new(SchemeName::None), &[])
            .expect("`none` needs nothing")
            .into(),
        id: vec![Selector::Header("webhook-id".into())],
        key: Selector::Const("all".into()),
        event_type: None,
        time: None,
        at: None,
        max_payload: 1 << 16,
        ack_delivered: None,
        in_body: InBody::default(),
    }
}

fn talk(address: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(STUCK))
        .expect("it is not zero");
    stream.set_nodelay(true).expect("it is connected");
    // The server may have hung up before it has read everything.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answers) {
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "the connection hangs"
        );
    }
    answers
}

/// The final statuses of all answers, which must be complete and well-formed; a last one that a reset has cut is left out.
fn statuses(mut answers: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !answers.is_empty() {
        let end = answers.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            return statuses;
        };
        let head = std::str::from_utf8(&answers[..end]).expect("a head is text");
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("no status line: {head}"));
        answers = &answers[end + 4..];
        if status == 100 {
            continue;
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.parse().expect("a length is a number"));
        statuses.push(status);
        answers = answers.get(length..).unwrap_or_default();
    }
    statuses
}
