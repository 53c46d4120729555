//! Does the time of a refusal tell how much of a forged signature was right?
//!
//! `cargo run --release -p cloakroom-core --example signature_timing [SAMPLES]`
//!
//! Two kinds of forgeries are checked in random order: some are wrong from the first byte, some in the last one only. Welch's
//! t of their times says whether the two can be told apart: beyond 4.5 either way they can, with a probability that leaves no doubt
//! (the threshold of `dudect`). A comparison that stops at the first difference is measured in the same way, to show that the
//! measurement would notice. This is a measurement, not a test: a busy machine hides much and invents a little.

use std::hint::black_box;
use std::time::Instant;

use cloakroom_core::secret::{Secret, SecretHash};
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Verifier, sign};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const BODY: &[u8] = br#"{"id":"evt_1"}"#;

type Headers = Vec<(String, String)>;

fn main() {
    let samples = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(200_000);
    println!("t of {samples} samples each; beyond 4.5 the two kinds can be told apart");
    for (scheme, secret) in [
        (
            SchemeName::StandardWebhooks,
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        (SchemeName::Github, "a secret"),
        (SchemeName::Slack, "a secret"),
        (
            SchemeName::Gitlab,
            "a token of some length that is none of GitLab's",
        ),
    ] {
        println!("{:>8.2}  {scheme}", signatures(scheme, secret, samples));
    }
    let token = "t".repeat(64);
    let hash = SecretHash::of(token.as_bytes());
    let [early, late] = bent(&token);
    let check = |offered: &String| bool::from(hash.is_of(offered.as_bytes()));
    println!("{:>8.2}  admin token", t(&early, &late, check, samples));
    let check = |offered: &String| stops_early(token.as_bytes(), offered.as_bytes());
    println!(
        "{:>8.2}  a comparison that stops early, for comparison",
        t(&early, &late, check, samples)
    );
}

fn signatures(scheme: SchemeName, secret: &str, samples: usize) -> f64 {
    let (scheme, secret) = (Scheme::new(scheme), Secret::new(secret));
    let nothing = Headers::new();
    let head = RequestHead {
        method: "POST",
        url: "https://hooks.example/in/x",
        headers: &nothing,
    };
    let headers = sign(&scheme, &secret, &head, "evt_1", NOW, BODY).expect("the scheme signs JSON");
    let verifier = Verifier::new(&scheme, &[secret]).expect("the secret is one of the scheme's");
    // The signature is the longest of the headers.
    let at = (0..headers.len())
        .max_by_key(|at| headers[*at].1.len())
        .expect("there is one");
    let [early, late] = bent(&headers[at].1).map(|value| {
        let mut headers = headers.clone();
        headers[at].1 = value;
        headers
    });
    let accepts = |headers: &Headers| {
        let head = RequestHead { headers, ..head };
        verifier.begin(&head, NOW).is_ok_and(|mut verification| {
            verification.update(BODY);
            verification.finish().is_ok()
        })
    };
    assert!(accepts(&headers) && !accepts(&early) && !accepts(&late));
    t(&early, &late, accepts, samples)
}

/// The text with its first character of the signature changed, and with one of the last.
fn bent(text: &str) -> [String; 2] {
    // After a prefix such as `v1,` or `sha256=`; before the last, which may hold less than six bits and padding.
    let first = text
        .find([',', '='])
        .filter(|at| *at < 10)
        .map_or(0, |at| at + 1);
    [first, text.len() - 3].map(|at| {
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        [&text[..at], other, &text[at + 1..]].concat()
    })
}

fn stops_early(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(a, b)| black_box(a) == black_box(b))
}

/// Welch's t of the times that `check` takes for the two. The slowest tenth is left out: that was somebody else's work.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn t<T: Clone>(early: &T, late: &T, check: impl Fn(&T) -> bool, samples: usize) -> f64 {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    // Both kinds are read from one place: where something lies in memory takes its own time.
    let mut place = early.clone();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    while times.iter().any(|of_kind| of_kind.len() < samples) {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let kind = usize::from(dice & 1 == 1);
        place.clone_from(if kind == 0 { early } else { late });
        let start = Instant::now();
        black_box(check(black_box(&place)));
        let took = start.elapsed().as_nanos();
        times[kind].push(f64::from(u32::try_from(took).unwrap_or(u32::MAX)));
    }
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let longest = all[all.len() * 9 / 10];
    let [(mean_a, spread_a), (mean_b, spread_b)] = times.map(|of_kind| {
        let kept: Vec<f64> = of_kind
            .into_iter()
            .filter(|time| *time <= longest)
            .collect();
        let count = f64::from(u32::try_from(kept.len()).unwrap_or(u32::MAX));
        let mean = kept.iter().sum::<f64>() / count;
        let squares = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0) / count)
    });
    (mean_b - mean_a) / (spread_a + spread_b).sqrt()
}
