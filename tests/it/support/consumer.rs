//! A consumer that stays up: an HTTP server of our own that verifies what it is sent and remembers it in order.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloakroom_core::secret::Secret;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Verifier};
use serde_json::Value;

use super::http::{BodyReader, Request, owned, read_head};
use super::server::SECRET;
use super::wait_until;
use super::webhook::now;

/// One request that the consumer was sent.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// The run of the server that it came from, as told by [`Consumer::quiesce`].
    pub(crate) run: usize,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The CloudEvent of a structured delivery.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A status, and headers to go with it.
pub(crate) type Reply = (u16, Vec<(&'static str, String)>);

type Decide = Box<dyn Fn(&Delivery) -> Reply + Send + Sync>;

struct Shared {
    decide: Decide,
    run: AtomicUsize,
    open: AtomicUsize,
    taken: Mutex<Vec<Delivery>>,
    refused: Mutex<Vec<String>>,
}

/// The consumer. Its threads end with the test.
pub(crate) struct Consumer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Consumer {
    /// Takes everything.
    pub(crate) fn start() -> Self {
        Self::deciding(|_| (200, Vec::new()))
    }

    /// Answers as told.
    pub(crate) fn deciding(decide: impl Fn(&Delivery) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            decide: Box::new(decide),
            run: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            taken: Mutex::default(),
            refused: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                accepting.open.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    // However the connection ends, it has ended.
                    let _ = serve(&shared, stream);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    /// A URL for a sink.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was taken, in its order. Fails when anything came unsigned.
    pub(crate) fn taken(&self) -> Vec<Delivery> {
        let refused = self.shared.refused.lock().unwrap();
        assert!(refused.is_empty(), "badly signed: {refused:?}");
        self.shared.taken.lock().unwrap().clone()
    }

    /// What was taken after the first `known`, in its order. Fails when anything came unsigned.
    pub(crate) fn taken_after(&self, known: usize) -> Vec<Delivery> {
        let refused = self.shared.refused.lock().unwrap();
        assert!(refused.is_empty(), "badly signed: {refused:?}");
        self.shared.taken.lock().unwrap()[known..].to_vec()
    }

    /// How much was taken.
    pub(crate) fn count(&self) -> usize {
        self.shared.taken.lock().unwrap().len()
    }

    /// Waits until at least so much was taken.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Delivery> {
        wait_until(&format!("{count} deliveries"), || self.count() >= count);
        self.taken()
    }

    /// Waits until everything that a server sent before it ended is taken, and counts what comes as the next run's.
    pub(crate) fn quiesce(&self) {
        // Connections are accepted in turn: when this one is answered, all earlier ones are open or have ended.
        let last = Request::get("/none").send(&self.address.to_string());
        assert_eq!(last.unwrap().status, 404);
        wait_until("the old connections end", || {
            self.shared.open.load(Ordering::SeqCst) == 0
        });
        self.shared.run.fetch_add(1, Ordering::SeqCst);
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader)? {
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut slots);
        parsed.parse(&head).map_err(std::io::Error::other)?;
        let (method, path) = (parsed.method.unwrap(), parsed.path.unwrap().to_owned());
        let headers = owned(parsed.headers);
        let mut rest = BodyReader::new(reader, &headers);
        let mut body = Vec::new();
        rest.read_to_end(&mut body)?;
        reader = rest.into_inner();
        if method != "POST" {
            return answers.write_all(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
        }
        let (status, extra) = take(shared, path, headers, body);
        let mut answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n");
        for (name, value) in extra {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn take(shared: &Shared, path: String, headers: Vec<(String, String)>, body: Vec<u8>) -> Reply {
    let delivery = Delivery {
        run: shared.run.load(Ordering::SeqCst),
        path,
        headers,
        body,
    };
    if let Err(reason) = verify(&delivery) {
        shared.refused.lock().unwrap().push(reason);
        return (401, Vec::new());
    }
    // The lock is held over the decision, so that what is seen as taken was answered in that order.
    let mut taken = shared.taken.lock().unwrap();
    let reply = (shared.decide)(&delivery);
    taken.push(delivery);
    reply
}

fn verify(delivery: &Delivery) -> Result<(), String> {
    let scheme = Scheme::new(SchemeName::StandardWebhooks);
    let verifier = Verifier::new(&scheme, &[Secret::new(SECRET.as_bytes().to_vec())]).unwrap();
    let head = RequestHead {
        method: "POST",
        url: &delivery.path,
        headers: &delivery.headers,
    };
    let mut verification = verifier
        .begin(&head, now())
        .map_err(|error| error.to_string())?;
    verification.update(&delivery.body);
    verification.finish().map_err(|error| error.to_string())
}
