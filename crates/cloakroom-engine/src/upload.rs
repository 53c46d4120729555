//! Uploads: webhooks whose providers put the body into the store themselves.
//!
//! A provider announces a webhook, headers first, and is offered a place for exactly that body. Once it is there, it goes
//! through the same [`Intake`] as the body of a request: read as a stream, verified on its way into the claim store, and
//! only then a claim and a ledger entry (invariants 1 and 2). What was staged is removed afterwards, and never referred to.
//!
//! **The time.** An announcement is the beginning of a request whose body comes later. So the age of its signature is judged
//! as of the time of the offer, twice: when it is announced, and when the body is there. That time is attached to the
//! object in a form that only the store's owner can write; a signature that is too old gets no offer, and waiting between
//! offer and upload does not make a fresh one stale.
//!
//! **Doubled and lost notifications.** To be told of an upload is a doorbell: what counts is what is staged. Told twice, the
//! second look finds nothing, or a duplicate.

use std::fmt;

use cloakroom_core::verify::RequestHead;
use futures::StreamExt as _;
use metrics::counter;

use crate::append::{Receipt, Status};
use crate::engine::Engine;
use crate::intake::{Intake, Refusal};
use crate::ports::{Announced, Offer, PayloadStream, UploadError, Uploads};
use crate::shared::StoreError;

/// Why a place was not offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The webhook would not be taken in.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its headers do not fit onto the object.
    #[error("{0}")]
    HeadTooLarge(UploadError),
}

/// What became of an upload.
#[derive(Debug)]
pub enum Taken {
    /// It is an event now, a duplicate or in quarantine.
    In(Receipt),
    /// It was not what its headers said, and was removed.
    Refused(Refusal),
    /// Nothing is there: it was taken in before, or never offered here.
    Gone,
    /// Nobody here has offered a place for it. It stays for the store to expire.
    Unknown,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In(receipt) => match receipt.status {
                Status::Accepted => "accepted",
                Status::Duplicate => "duplicate",
                Status::Quarantined => "quarantined",
            },
            Self::Refused(_) => "refused",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        })
    }
}

/// Why an upload could not be looked at. It is still staged: try again.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much is under way.
    #[error("too many webhooks are under way: try again shortly")]
    Overloaded,
    /// The source is not configured here, though it was where the place was offered.
    #[error(
        "an upload is for the source {0:?}, which is not configured here: give all hosts the same configuration"
    )]
    UnknownSource(String),
}

impl Engine {
    /// Offers a place for the body of a webhook, if its head is one that would be taken in now: a known source, a
    /// complete set of signature headers that is not too old, and a size within the source's limit. Stores nothing.
    ///
    /// # Errors
    /// When the webhook would be refused, or the store makes no offer.
    pub async fn offer_upload(
        &self,
        uploads: &dyn Uploads,
        announced: &Announced,
    ) -> Result<Offer, OfferError> {
        let intake = self.begin_upload(announced)?;
        let max = intake.max_payload().min(uploads.size_max());
        if announced.size > max {
            return Err(Refusal::TooLarge { max }.into());
        }
        uploads.offer(announced).await.map_err(|error| match error {
            UploadError::Store(error) => Refusal::Store(error.into()).into(),
            error @ UploadError::HeadTooLarge { .. } => OfferError::HeadTooLarge(error),
        })
    }

    /// Takes in what was uploaded to `place`, then removes it from there. May be called again at any time.
    ///
    /// # Errors
    /// When it is still staged and has to be looked at again.
    pub async fn take_upload(
        &self,
        uploads: &dyn Uploads,
        place: &str,
    ) -> Result<Taken, TakeError> {
        let Some(staged) = uploads.staged(place).await.map_err(StoreError::from)? else {
            tracing::info!(place, "no upload is there (any more)");
            return Ok(Taken::Gone);
        };
        let Some(announced) = staged.announced else {
            tracing::error!(place, "an object among the uploads was not offered here");
            return Ok(Taken::Unknown);
        };
        let taken = match self.take_in(&announced, staged.size, staged.body).await {
            Ok(receipt) => Taken::In(receipt),
            Err(Refusal::NotDelivered(receipt)) => Taken::In(*receipt),
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(Refusal::Overloaded) => return Err(TakeError::Overloaded),
            Err(Refusal::UnknownSource(source)) => return Err(TakeError::UnknownSource(source)),
            Err(refusal @ (Refusal::Unverified(_) | Refusal::TooLarge { .. })) => {
                tracing::warn!(source = %announced.source, place, reason = %refusal, "an upload was refused and is removed");
                Taken::Refused(refusal)
            }
        };
        counter!("cloakroom_uploads_total", "source" => announced.source.to_string(), "status" => taken.to_string())
            .increment(1);
        // Last: until then a failure leaves everything for the next look.
        uploads.discard(place).await.map_err(StoreError::from)?;
        Ok(taken)
    }

    async fn take_in(
        &self,
        announced: &Announced,
        size: u64,
        mut body: PayloadStream,
    ) -> Result<Receipt, Refusal> {
        let mut intake = self.begin_upload(announced)?;
        let max = intake.max_payload();
        if size > max {
            return Err(Refusal::TooLarge { max });
        }
        while let Some(chunk) = body.next().await {
            intake.write(chunk.map_err(StoreError::from)?).await?;
        }
        intake.finish().await
    }

    fn begin_upload(&self, announced: &Announced) -> Result<Intake, Refusal> {
        let head = RequestHead {
            method: "POST",
            url: &announced.url,
            headers: &announced.headers,
        };
        let source = announced.source.as_str();
        let intake = self.intake_as_of(announced.offered, source, &head)?;
        // Its provider is not there any more to be told.
        Ok(intake.without_waiting())
    }
}
