//! A provider that never gives up: it sends on and on, out of order and some twice, until everything has its 2xx.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_core::verify::SchemeName;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::support::http::Request;
use crate::support::server::{HEX_SECRET, SECRET};
use crate::support::webhook::{now, sign};

/// Stands before a webhook's number in its event's type.
pub(crate) const NUMBER: &str = "number.";
/// How many keys of each source are sent at once.
const KEYS: u64 = 3;
/// How far a webhook may come before its predecessors, in numbers.
const STRETCH: u64 = 8;
/// Every so many numbers of a source `messages` comes one that is too large for a segment and for the event.
const LARGE_EVERY: u64 = 16;
const LARGE_BYTES: usize = 100_000;

/// How the webhooks of a source are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// By their numbers: nothing leaves before its predecessors.
    Transfers,
    /// By their numbers, but a missing one is passed over after a moment, and comes late.
    Impatient,
    /// As they come.
    Messages,
}

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Transfers, Self::Impatient, Self::Messages];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Impatient => "impatient",
            Self::Messages => "messages",
        }
    }
}

/// Which webhook it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) source: Source,
    pub(crate) key: String,
    pub(crate) number: u64,
}

impl Place {
    pub(crate) fn is_large(&self) -> bool {
        self.source == Source::Messages && self.number.is_multiple_of(LARGE_EVERY)
    }

    /// Its payload, the same whenever it is asked for.
    pub(crate) fn body(&self) -> String {
        // What a parser that writes it again would change: an exponent, a doubled name, a number too large for a float.
        let Self { key, number, .. } = self;
        let padding = "x".repeat(if self.is_large() { LARGE_BYTES } else { 40 });
        format!(
            r#"{{"data":{{"id":"{key}","sequenceNumber":{number}, "amount":1.0e2,"amount":12345678901234567890123}},"padding":"{padding}"}}"#
        )
    }

    fn headers(&self, body: &str) -> Vec<(String, String)> {
        let id = format!("msg_{}_{}", self.key, self.number);
        let (scheme, secret) = match self.source {
            Source::Transfers | Source::Impatient => (SchemeName::Adyen, HEX_SECRET),
            Source::Messages => (SchemeName::StandardWebhooks, SECRET),
        };
        let mut headers = sign(scheme, secret, "/", &id, now(), body.as_bytes());
        headers.push(("x-type".to_owned(), format!("{NUMBER}{}", self.number)));
        headers
    }
}

/// What is under way, and what was acknowledged under which id.
pub(crate) struct Provider {
    outbox: Mutex<Outbox>,
    acknowledged: Mutex<HashMap<Place, String>>,
    answers: AtomicUsize,
    broken: AtomicUsize,
    refused: AtomicUsize,
}

struct Outbox {
    random: StdRng,
    waiting: Vec<Place>,
    /// The number that every key has come to.
    sent: u64,
    keys_from: u64,
    /// After so many numbers come new keys.
    numbers_per_key: u64,
    closed: bool,
}

impl Outbox {
    fn next(&mut self) -> Option<Place> {
        if self.waiting.is_empty() && !self.closed {
            self.refill();
        }
        self.waiting.pop()
    }

    /// The next stretch of every key, a third of it twice, shuffled.
    fn refill(&mut self) {
        if self.sent >= self.numbers_per_key {
            self.sent = 0;
            self.keys_from += KEYS;
        }
        for number in self.sent + 1..=self.sent + STRETCH {
            for key in self.keys_from..self.keys_from + KEYS {
                for source in Source::ALL {
                    let key = format!("K{key:04}");
                    let place = Place {
                        source,
                        key,
                        number,
                    };
                    if number % 3 == 0 {
                        self.waiting.push(place.clone());
                    }
                    self.waiting.push(place);
                }
            }
        }
        self.sent += STRETCH;
        self.waiting.shuffle(&mut self.random);
    }
}

impl Provider {
    pub(crate) fn new(seed: u64, numbers_per_key: u64) -> Self {
        Self {
            outbox: Mutex::new(Outbox {
                random: StdRng::seed_from_u64(seed),
                waiting: Vec::new(),
                sent: 0,
                keys_from: 0,
                numbers_per_key,
                closed: false,
            }),
            acknowledged: Mutex::default(),
            answers: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// Nothing new from here on.
    pub(crate) fn close(&self) {
        self.outbox.lock().unwrap().closed = true;
    }

    /// Nothing but the first stretch.
    pub(crate) fn close_after_one_stretch(&self) {
        let mut outbox = self.outbox.lock().unwrap();
        outbox.refill();
        outbox.closed = true;
    }

    /// How many answers there were, and how many requests ended without one.
    pub(crate) fn answers(&self) -> (usize, usize) {
        let (answers, broken) = (&self.answers, &self.broken);
        (
            answers.load(Ordering::SeqCst),
            broken.load(Ordering::SeqCst),
        )
    }

    /// How often it was told to come again later.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Everything acknowledged, with the id of its receipt.
    pub(crate) fn acknowledged(&self) -> HashMap<Place, String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Sends until it is closed and nothing is left.
    pub(crate) fn send(&self, address: &str) {
        loop {
            let Some(place) = self.outbox.lock().unwrap().next() else {
                return;
            };
            let body = place.body();
            let request = Request::post(&format!("/in/{}", place.source.name()));
            let headers = place.headers(&body);
            match request
                .headers(&headers)
                .body(body.as_bytes())
                .send(address)
            {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    self.answers.fetch_add(1, Ordering::SeqCst);
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    let mut acknowledged = self.acknowledged.lock().unwrap();
                    let before = acknowledged.insert(place.clone(), id.clone());
                    assert!(before.is_none_or(|before| before == id), "{place:?}");
                }
                Ok(answer) => {
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    let wait = answer.header("retry-after").parse::<u64>();
                    assert!(wait.is_ok(), "503 without Retry-After: {}", answer.text());
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    self.later(place);
                }
                Err(_) => {
                    self.broken.fetch_add(1, Ordering::SeqCst);
                    self.later(place);
                }
            }
        }
    }

    fn later(&self, place: Place) {
        self.outbox.lock().unwrap().waiting.insert(0, place);
        // Nobody listens for now; the next try finds out whether somebody does.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
