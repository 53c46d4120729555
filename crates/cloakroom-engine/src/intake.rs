//! Intake: takes one webhook in while its body arrives, at flat memory, and answers with a receipt.
//!
//! The order of things is the promise (invariants 1 and 2): the signature is checked over the whole body before anything
//! becomes a claim, the claim is durable before the ledger entry is committed, and that is durable before the receipt.

mod budget;
mod digests;
mod fields;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cloakroom_core::event::Payload;
use cloakroom_core::id::{EventId, Identity, KEY_MAX_BYTES, Key, StreamId};
use cloakroom_core::position::Position;
use cloakroom_core::time::Timestamp;
use cloakroom_core::verify::{Rejection, RequestHead};
use metrics::counter;

pub use budget::Budget;
use budget::Reservation;
use digests::Digests;
pub(crate) use fields::Compiled;
use fields::{Fields, Found};

use crate::append::{Appended, Draft, Receipt, Status};
use crate::catalog::Source;
use crate::ports::{ClaimHint, References as _, Upload};
use crate::shared::{Shared, StoreError};

/// Bodies up to this many bytes are held in memory; larger ones go to the claim store as they come.
pub const BUFFERED_MAX: usize = 64 * 1024;

/// How often a sender who waits for consumers looks at the cursors of a shared ledger.
const SETTLED_LOOK: Duration = Duration::from_millis(250);

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such source is configured.
    #[error("there is no source {0:?}")]
    UnknownSource(String),
    /// The signature does not hold.
    #[error(transparent)]
    Unverified(#[from] Rejection),
    /// The body is larger than the source takes.
    #[error("the body is larger than {max} bytes, the most this source takes")]
    TooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// Too much is under way already.
    #[error("too many webhooks are under way: try again shortly")]
    Overloaded,
    /// It is stored, but its consumers did not have it in time; a retry is recognised and waits again.
    #[error(
        "the webhook is stored, but was not delivered to every consumer in time: send it again"
    )]
    NotDelivered(Box<Receipt>),
    /// A store failed; nothing was acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One webhook on its way in. Dropping it leaves nothing behind.
pub struct Intake {
    shared: Arc<Shared>,
    source: Arc<Source>,
    digests: Digests,
    size: u64,
    body: Arriving,
    fields: Fields,
    reservation: Reservation,
    /// Whether somebody waits for the receipt, who may be made to wait for consumers too.
    waits: bool,
}

enum Arriving {
    Buffered(BytesMut),
    Stored(Box<dyn Upload>),
}

impl Intake {
    /// Begins with a head that came at `came`: the age of its signature is judged as of then.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        budget: &Arc<Budget>,
        source: &str,
        head: &RequestHead<'_>,
        came: Timestamp,
    ) -> Result<Self, Refusal> {
        let source = shared
            .catalog
            .source(source)
            .ok_or_else(|| Refusal::UnknownSource(source.to_owned()))?;
        let reservation = budget.admit().ok_or(Refusal::Overloaded)?;
        Ok(Self {
            digests: Digests::new(source.verifier.begin(head, came)?),
            size: 0,
            body: Arriving::Buffered(BytesMut::new()),
            fields: Fields::from_head(source, head),
            reservation,
            waits: true,
            source: Arc::clone(source),
            shared: Arc::clone(shared),
        })
    }

    /// Answers once it is durable, whatever the source says about consumers.
    pub(crate) fn without_waiting(self) -> Self {
        Self {
            waits: false,
            ..self
        }
    }

    /// The largest body this source takes, in bytes.
    pub fn max_payload(&self) -> u64 {
        self.source.max_payload
    }

    /// Takes the next bytes of the body, exactly as received.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.size += chunk.len() as u64;
        if self.size > self.source.max_payload {
            return Err(Refusal::TooLarge {
                max: self.source.max_payload,
            });
        }
        match &mut self.body {
            Arriving::Buffered(buffer) if buffer.len() + chunk.len() <= BUFFERED_MAX => {
                if !self.reservation.grow(chunk.len()) {
                    return Err(Refusal::Overloaded);
                }
                self.digests.update(&chunk);
                buffer.extend_from_slice(&chunk);
                return Ok(());
            }
            Arriving::Buffered(buffer) => {
                if !self
                    .reservation
                    .grow(self.shared.claims.upload_memory() + digests::MEMORY)
                {
                    return Err(Refusal::Overloaded);
                }
                let begun = std::mem::take(buffer).freeze();
                let mut upload = self.shared.claims.begin().await.map_err(StoreError::from)?;
                self.fields.feed(&begun).await;
                upload.write(begun).await.map_err(StoreError::from)?;
                self.body = Arriving::Stored(upload);
            }
            Arriving::Stored(_) => {}
        }
        if let Arriving::Stored(upload) = &mut self.body {
            let hashed = self.digests.feed(&chunk).await;
            hashed.map_err(StoreError::from)?;
            self.fields.feed(&chunk).await;
            upload.write(chunk).await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// The body is complete: verifies it, keeps it, and answers once it is durable (and, if the source says so, once
    /// every consumer has it).
    pub async fn finish(self) -> Result<Receipt, Refusal> {
        let Self {
            shared,
            source,
            digests,
            size,
            body,
            fields,
            reservation,
            waits,
        } = self;
        let sha256 = match digests.finish().await.map_err(StoreError::from)? {
            Ok(sha256) => sha256,
            Err(rejection) => {
                if let Arriving::Stored(upload) = body {
                    upload.abort().await;
                }
                counter!("cloakroom_webhooks_total", "source" => source.name.to_string(), "status" => "refused").increment(1);
                return Err(rejection.into());
            }
        };
        let (found, content_type, traceparent) = match &body {
            Arriving::Buffered(buffer) => fields.read_body(buffer),
            Arriving::Stored(_) => fields.read_fed().await,
        };
        let payload = Payload {
            content_type,
            size,
            sha256,
            claim: None,
            inline: None,
        };
        // Accepted is what is here in full: an upload of an hour must not look as if it had waited for an hour already.
        let recorded = shared.clock.now();
        let draft = draft(&source, found, traceparent, payload, recorded);
        let Appended { receipt, released } = shared.keep(&source, draft, body).await?;
        drop(reservation);
        shared.report(&source, &receipt);
        if let (Some(stream), Some(position)) = (&receipt.stream, &receipt.position) {
            match released {
                Some(release) => shared.announce(release, 1),
                None if receipt.status == Status::Accepted => {
                    shared.entry_added(stream.clone());
                }
                None => {}
            }
            if let Some(timeout) = source.ack_delivered.filter(|_| waits) {
                let until = shared.clock.now().after(timeout);
                if !shared.wait_delivered(stream, position, until).await? {
                    return Err(Refusal::NotDelivered(Box::new(receipt)));
                }
            }
        }
        Ok(receipt)
    }
}

/// The draft of a webhook: what is missing gets its default.
fn draft(
    source: &Source,
    found: Found,
    traceparent: Option<String>,
    payload: Payload,
    recorded: Timestamp,
) -> Draft {
    let usable = |key: &String| !key.is_empty() && key.len() <= KEY_MAX_BYTES;
    Draft {
        identity: found.id.map_or_else(
            || Identity::from(format!("sha256:{}", payload.sha256)),
            Identity::from,
        ),
        key: found.key.filter(usable).map(Key::from),
        sequence: found.at,
        event_type: found
            .event_type
            .unwrap_or_else(|| format!("cloakroom.{}.received", source.name)),
        time: found.time.as_deref().and_then(parse_time),
        traceparent,
        payload,
        recorded,
    }
}

/// When an event happened, as providers write it: RFC 3339, or Unix time in seconds or milliseconds.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        // Seconds reach this number in the year 5138; milliseconds passed it in 1973.
        const FIRST_MILLIS: i64 = 100_000_000_000;
        return Some(match number {
            seconds if seconds.abs() < FIRST_MILLIS => Timestamp::from_secs(seconds),
            millis => Timestamp::from_micros(millis.saturating_mul(1_000)),
        });
    }
    Timestamp::parse_rfc3339(text)
}

impl Shared {
    /// Stores the payload, then appends the entry.
    async fn keep(
        &self,
        source: &Source,
        mut draft: Draft,
        body: Arriving,
    ) -> Result<Appended, StoreError> {
        let hint = ClaimHint {
            source: source.name.clone(),
            identity: draft.identity.clone(),
            event: self.foreseen_id(source, &draft),
            sha256: draft.payload.sha256,
            size: draft.payload.size,
            recorded: draft.recorded,
        };
        match body {
            Arriving::Buffered(body) => {
                let body = body.freeze();
                let ledger_only = draft.payload.size <= self.settings.ledger_only_max;
                let travels =
                    draft.payload.size <= self.settings.inline_max && !self.claims.is_local();
                if !ledger_only {
                    draft.payload.claim = Some(self.claims.place(&hint, body.clone()).await?);
                }
                draft.payload.inline = (ledger_only || travels).then_some(body);
                Ok(self.appender.append(source, &draft).await?)
            }
            Arriving::Stored(upload) => {
                if let Some(receipt) = self.appender.find(source, &draft).await? {
                    upload.abort().await;
                    return Ok(receipt.into());
                }
                let claim = upload.commit(&hint).await?;
                draft.payload.claim = Some(claim.clone());
                let appended = self.appender.append(source, &draft).await?;
                if appended.receipt.status == Status::Duplicate
                    && !self.is_referenced(&hint, &claim).await?
                {
                    self.claims.delete(&claim).await?;
                }
                Ok(appended)
            }
        }
    }

    /// The id the event will have when its own place is free.
    fn foreseen_id(&self, source: &Source, draft: &Draft) -> Option<EventId> {
        let stream = StreamId {
            source: source.stream_source(),
            key: draft.key.clone()?,
        };
        let position = draft.own_position(&source.rule)?;
        Some(EventId::of(&stream, &position))
    }

    /// Waits until every subscription has settled the event at `position`, or until `until`. Whether it came to that.
    async fn wait_delivered(
        &self,
        stream: &StreamId,
        position: &Position,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let waiting = self.settled.wait_for(stream);
        loop {
            let moved = waiting.notify.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.is_settled(stream, position).await? {
                return Ok(true);
            }
            // On a shared ledger the cursor may be moved where nobody here is told.
            let look_again = match self.ledger.is_exclusive() {
                true => until,
                false => until.min(self.clock.now().after(SETTLED_LOOK)),
            };
            tokio::select! {
                biased;
                () = moved => {}
                () = self.clock.sleep_until(look_again) => {
                    if self.clock.now() >= until {
                        return self.is_settled(stream, position).await;
                    }
                }
                () = self.stop.cancelled() => return Ok(false),
            }
        }
    }

    async fn is_settled(&self, stream: &StreamId, position: &Position) -> Result<bool, StoreError> {
        for active in self
            .active
            .values()
            .filter(|active| active.config.listens_to(stream))
        {
            let cursor = self.cursor(active, stream).await?;
            if cursor.position.is_none_or(|settled| settled < *position) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn report(&self, source: &Source, receipt: &Receipt) {
        let status = match receipt.status {
            Status::Accepted => "accepted",
            Status::Duplicate => "duplicate",
            Status::Quarantined => "quarantined",
        };
        counter!("cloakroom_webhooks_total", "source" => source.name.to_string(), "status" => status).increment(1);
        if let Some(reason) = receipt.reason {
            tracing::warn!(source = %source.name, event_id = %receipt.id, reason = reason.as_str(), "a webhook was quarantined");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_providers_write_them() {
        let secs = |text| parse_time(text).map(|time| time.as_micros() / 1_000_000);
        assert_eq!(secs("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        assert_eq!(secs("1700000000"), Some(1_700_000_000));
        assert_eq!(secs("1700000000000"), Some(1_700_000_000));
        assert_eq!(secs("-1700000000"), Some(-1_700_000_000));
        assert_eq!(secs("99999999999"), Some(99_999_999_999));
        assert_eq!(secs("100000000000"), Some(100_000_000));
        assert_eq!(secs("yesterday"), None);
        assert_eq!(secs(""), None);
    }
}
