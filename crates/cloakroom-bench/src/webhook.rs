//! The webhooks that are sent: Adyen transfers of 1 KB, signed before any clock starts.

use std::fmt::Write as _;

use anyhow::Context as _;
use cloakroom_core::secret::Secret;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{RequestHead, Scheme, SchemeName, Signer};

/// The size of each payload unless a scenario asks for another, in bytes.
pub(crate) const PAYLOAD: usize = 1_024;
/// The secret that both sides know, as Adyen writes it.
pub(crate) const SECRET: &str = "5f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// The environment variable in which the server finds it.
pub(crate) const SECRET_VARIABLE: &str = "CLOAKROOM_BENCH_SECRET";
/// The source's name.
pub(crate) const SOURCE: &str = "transfers";
/// What a payload's serial number follows.
pub(crate) const MARK: &[u8] = b"\"reference\":\"bench-";
/// The digits of a serial number.
pub(crate) const SERIAL_DIGITS: usize = 12;

/// Names and values.
pub(crate) type Headers = Vec<(String, String)>;

/// How webhooks spread over streams: number `n` is the next one of key `n % keys`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How many keys.
    pub(crate) keys: u64,
    /// The size of each payload, in bytes: [`PAYLOAD`] or more.
    pub(crate) size: usize,
}

impl Shape {
    /// That many keys, and payloads of the usual size.
    pub(crate) fn of(keys: u64) -> Self {
        Self {
            keys,
            size: PAYLOAD,
        }
    }

    /// The ordering key of a webhook.
    pub(crate) fn key(self, serial: u64) -> String {
        format!("BENCH{:011}", serial % self.keys)
    }

    /// Its sequence number within the key, from 1.
    pub(crate) fn sequence(self, serial: u64) -> u64 {
        serial / self.keys + 1
    }

    /// The payload: JSON, filled up to its size.
    pub(crate) fn payload(self, serial: u64) -> Vec<u8> {
        let (key, sequence) = (self.key(serial), self.sequence(serial));
        let amount = 100 + serial % 99_900;
        let mut text = String::with_capacity(self.size);
        write!(
            text,
            concat!(
                r#"{{"data":{{"accountHolder":{{"description":"Account holder of the bench","id":"AH32272223222C5GXTD343TKP"}},"#,
                r#""amount":{{"currency":"EUR","value":{amount}}},"#,
                r#""balanceAccount":{{"description":"Main account","id":"BA32272223222H5GXTD6K6RKV"}},"#,
                r#""balancePlatform":"CloakroomBench","category":"bank","#,
                r#""counterparty":{{"bankAccount":{{"accountHolder":{{"fullName":"A. Klaassen"}},"accountIdentification":{{"iban":"NL91ABNA0417164300","type":"iban"}}}}}},"#,
                r#""creationDate":"2026-03-01T12:00:00+01:00","description":"Invoice {serial}","direction":"outgoing","#,
                r#""id":"{key}","reason":"approved","reference":"bench-{serial:012}","referenceForBeneficiary":"bench","#,
                r#""sequenceNumber":{sequence},"status":"booked","type":"bankTransfer","padding":""#
            ),
            amount = amount,
            serial = serial,
            key = key,
            sequence = sequence
        )
        .expect("writing to a string cannot fail");
        let tail = r#""},"environment":"test","type":"balancePlatform.transfer.updated"}"#;
        let padding = self.size - text.len() - tail.len();
        text.extend(std::iter::repeat_n('x', padding));
        text.push_str(tail);
        text.into_bytes()
    }
}

/// The headers of a webhook's signature, and its payload.
pub(crate) fn signed(shape: Shape, serial: u64) -> anyhow::Result<(Headers, Vec<u8>)> {
    let scheme = Scheme::new(SchemeName::Adyen);
    let signer = Signer::new(&scheme, &Secret::new(SECRET.as_bytes().to_vec()))
        .context("the scheme does not take the secret")?;
    let url = format!("http://localhost/in/{SOURCE}");
    // Nothing is signed but the body.
    let headers = Headers::new();
    let head = RequestHead {
        method: "POST",
        url: &url,
        headers: &headers,
    };
    let payload = shape.payload(serial);
    let headers = signer.sign(&head, "", Timestamp::from_secs(0), &payload)?;
    Ok((headers, payload))
}

/// Whole requests, ready to be written to a socket.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Prepares the webhooks with these numbers, in this order.
    pub(crate) fn sign(shape: Shape, serials: impl Iterator<Item = u64>) -> anyhow::Result<Self> {
        let mut batch = Self::default();
        for serial in serials {
            let (headers, payload) = signed(shape, serial)?;
            batch.push(&headers, &payload);
        }
        Ok(batch)
    }

    fn push(&mut self, headers: &[(String, String)], payload: &[u8]) {
        let head = head(headers, payload.len() as u64);
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One of them.
    pub(crate) fn request(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// The head of a webhook's request.
pub(crate) fn head(headers: &[(String, String)], length: u64) -> String {
    let mut head = format!(
        "POST /in/{SOURCE} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_of_the_promised_size() {
        let usual = Shape::of(7);
        let large = Shape {
            size: 65_536,
            ..usual
        };
        for (shape, serial) in [(usual, 0), (large, 6), (usual, 7), (usual, 123_456_789)] {
            let payload = shape.payload(serial);
            assert_eq!(payload.len(), shape.size);
            let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(json["data"]["id"], shape.key(serial));
            assert_eq!(json["data"]["sequenceNumber"], serial / 7 + 1);
            assert_eq!(json["data"]["reference"], format!("bench-{serial:012}"));
        }
    }

    #[test]
    fn requests_come_back_as_they_were_put_in() {
        let shape = Shape::of(2);
        let batch = Batch::sign(shape, [3, 0].into_iter()).unwrap();
        assert_eq!(batch.len(), 2);
        assert!(batch.request(0).ends_with(&shape.payload(3)));
        assert!(
            batch
                .request(1)
                .starts_with(b"POST /in/transfers HTTP/1.1\r\n")
        );
        assert!(batch.request(1).ends_with(&shape.payload(0)));
    }
}
