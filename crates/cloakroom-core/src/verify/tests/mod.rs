//! Verification against what the providers publish, and against those who would forge it.

mod configuration;
mod properties;
mod refusals;
mod vectors;

use super::*;
use crate::secret::Secret;
use crate::time::Timestamp;

const URL: &str = "https://hooks.example.com/in/source?x=1";

/// A request that can be bent before it is checked.
#[derive(Debug, Clone)]
struct Request {
    scheme: Scheme,
    secrets: Vec<Secret>,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    now: Timestamp,
}

impl Request {
    fn verifier(&self) -> Verifier {
        Verifier::new(&self.scheme, &self.secrets).unwrap()
    }

    fn verify(&self) -> Result<(), Rejection> {
        self.verify_in(self.body.chunks(64 * 1024))
    }

    fn verify_in<'a>(&self, chunks: impl Iterator<Item = &'a [u8]>) -> Result<(), Rejection> {
        let head = RequestHead {
            method: "POST",
            url: &self.url,
            headers: &self.headers,
        };
        let mut verification = self.verifier().begin(&head, self.now)?;
        chunks.for_each(|chunk| verification.update(chunk));
        verification.finish()
    }

    fn without(&self, header: &str) -> Self {
        let mut request = self.clone();
        request
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case(header));
        request
    }

    fn with(&self, header: &str, value: impl Into<Vec<u8>>) -> Self {
        let mut request = self.without(header);
        request.headers.push((header.to_owned(), value.into()));
        request
    }

    fn at(&self, seconds_later: i64) -> Self {
        Self {
            now: Timestamp::from_micros(self.now.as_micros() + seconds_later * 1_000_000),
            ..self.clone()
        }
    }
}

/// A request as [`sign`] makes it.
fn signed(scheme: &Scheme, secret: &str, body: &[u8]) -> Request {
    let mut headers = vec![(
        "content-type".to_owned(),
        b"application/x-www-form-urlencoded".to_vec(),
    )];
    let secret = Secret::new(secret);
    let now = Timestamp::from_secs(1_700_000_000);
    let head = RequestHead {
        method: "POST",
        url: URL,
        headers: &headers,
    };
    let added = sign(scheme, &secret, &head, "evt_1", now, body).unwrap();
    headers.extend(
        added
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes())),
    );
    let secrets = if scheme.scheme == SchemeName::None {
        Vec::new()
    } else {
        vec![secret]
    };
    Request {
        scheme: scheme.clone(),
        secrets,
        url: URL.to_owned(),
        headers,
        body: body.to_vec(),
        now,
    }
}

/// A secret as the scheme writes them, another one for each `number`.
fn secret_for(scheme: SchemeName, number: u8) -> String {
    match scheme {
        SchemeName::None => String::new(),
        SchemeName::Adyen => hex::encode([number; 32]),
        SchemeName::StandardWebhooks => format!(
            "whsec_{}",
            base64::Engine::encode(&secret::BASE64, [number; 32])
        ),
        _ => format!("secret {number}"),
    }
}
