//! Webhooks, signed as providers sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};

use super::server::{HEX_SECRET, SECRET};

/// The time, which signatures are made and judged by.
#[expect(
    clippy::disallowed_methods,
    reason = "both ends of the wire live in real time"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// The signature headers of a body.
pub(crate) fn sign(
    scheme: SchemeName,
    secret: &str,
    url: &str,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> Vec<(String, String)> {
    let form = vec![(
        "content-type".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
    )];
    let json = vec![("content-type".to_owned(), "application/json".to_owned())];
    let mut headers = if scheme == SchemeName::Twilio {
        form
    } else {
        json
    };
    let secret = Secret::new(secret.as_bytes().to_vec());
    let signer = Signer::new(&Scheme::new(scheme), &secret).unwrap();
    let head = RequestHead {
        method: "POST",
        url,
        headers: &headers,
    };
    let signed = signer.sign(&head, id, at, body).unwrap();
    headers.extend(signed);
    headers
}

/// A transfer of Adyen's: its place, and the request that tells of it.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) key: String,
    pub(crate) number: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Transfer {
    pub(crate) fn new(key: &str, number: u64) -> Self {
        let body = format!(
            concat!(
                r#"{{"data":{{"amount":{{"currency":"EUR","value":{value}}},"balancePlatform":"Test","category":"bank","#,
                r#""id":"{key}","sequenceNumber":{number},"status":"booked","type":"bankTransfer"}},"#,
                r#""environment":"test","type":"balancePlatform.transfer.updated"}}"#
            ),
            value = 100 + number,
            key = key,
            number = number
        )
        .into_bytes();
        let headers = sign(SchemeName::Adyen, HEX_SECRET, "/", "", now(), &body);
        Self {
            key: key.to_owned(),
            number,
            body,
            headers,
        }
    }

    /// The same from a provider that signs as Standard Webhooks say.
    pub(crate) fn signed_as_standard_webhook(self) -> Self {
        let id = format!("msg_{}_{}", self.key, self.number);
        let scheme = SchemeName::StandardWebhooks;
        let headers = sign(scheme, SECRET, "/", &id, now(), &self.body);
        Self { headers, ..self }
    }
}
