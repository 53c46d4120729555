//! Providers at work: they send, and send again until they have a 2xx.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use cloakroom_core::verify::RequestHead;
use cloakroom_engine::Receipt;
use cloakroom_engine::intake::Refusal;
use cloakroom_engine::ports::Entropy as _;

use crate::provider::{URL, Webhook};
use crate::stores::{Large, PATIENCE};
use crate::time::{pass, pass_ms};
use crate::trace::Fact;
use crate::world::{Form, Host, World};

/// Counts something that is under way until it is dropped.
pub(crate) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(crate) fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a body goes to the store as it comes.
pub(crate) fn is_large(webhook: &Webhook) -> bool {
    webhook.body.0.len() > cloakroom_engine::intake::BUFFERED_MAX
}

/// Whatever else happens at this moment happens first.
pub(crate) async fn others_first() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// See [`World::alone`].
pub(crate) struct Alone<'a>(&'a World, u64);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // The store has passed it on already when the body was stored.
        self.0.held().take_if(|(number, _)| *number == self.1);
    }
}

impl World {
    /// Sends a webhook, now and then twice at once, and again until it is acknowledged.
    pub fn provide(self: &Arc<Self>, webhook: &Arc<Webhook>) {
        self.trace.add(Fact::Requested {
            webhook: Arc::clone(webhook),
        });
        let copies = 1 + u64::from(self.chance.percent(if is_large(webhook) { 60 } else { 12 }));
        for _ in 0..copies {
            tokio::spawn(Arc::clone(self).insist(Arc::clone(webhook)));
        }
    }

    async fn insist(self: Arc<Self>, webhook: Arc<Webhook>) {
        let genuine = webhook.forged.is_none();
        let _open = genuine.then(|| Counted::new(&self.open));
        let tries = if genuine { u64::MAX } else { 2 };
        let mut was_told = false;
        pass_ms(self.chance.below(400)).await;
        if self.form != Form::Embedded && self.staging.is_chosen() {
            return self.upload(&webhook, tries).await;
        }
        for _ in 0..tries {
            if let Some(host) = self.some_host(|_| true) {
                let arrived = self.is_calm() || !self.chance.percent(6);
                match self.request(&host, &webhook).await {
                    Some(Ok(receipt)) => {
                        self.trace.add(Fact::Acknowledged {
                            life: host.life.number(),
                            webhook: Arc::clone(&webhook),
                            receipt,
                        });
                        if arrived {
                            return;
                        }
                    }
                    Some(Err(Refusal::NotDelivered(receipt))) => {
                        self.trace.add(Fact::NotDelivered {
                            webhook: Arc::clone(&webhook),
                            receipt: *receipt,
                        });
                        // It is stored: a provider does not insist for ever.
                        if std::mem::replace(&mut was_told, true) {
                            return;
                        }
                    }
                    Some(Err(refusal)) => self.trace.add(Fact::Refused {
                        webhook: Arc::clone(&webhook),
                        why: refusal.to_string(),
                    }),
                    None => {}
                }
            }
            pass_ms(500 + self.chance.below(6_000)).await;
        }
    }

    /// One request. `None` when the connection was lost, or nobody answered in time.
    async fn request(&self, host: &Host, webhook: &Webhook) -> Option<Result<Receipt, Refusal>> {
        let is_large = is_large(webhook);
        let _alone = match is_large {
            true => Some(self.alone().await),
            false => None,
        };
        if is_large {
            others_first().await;
        }
        let _under_way = Counted::new(&self.under_way);
        tokio::select! {
            biased;
            () = host.life.ended() => None,
            () = pass(PATIENCE) => None,
            answer = self.take_in(host, webhook, is_large) => Some(answer),
        }
    }

    /// The right to send a large body, until it is given up or passed on.
    pub(crate) async fn alone(&self) -> Alone<'_> {
        let guard = Arc::clone(&self.large).lock_owned().await;
        let number = self.chance.next();
        *self.held() = Some((number, guard));
        Alone(self, number)
    }

    fn held(&self) -> MutexGuard<'_, Large> {
        self.large_held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_in(
        &self,
        host: &Host,
        webhook: &Webhook,
        is_large: bool,
    ) -> Result<Receipt, Refusal> {
        let mut intake = {
            let headers = webhook.headers(self.clock.now());
            let head = RequestHead {
                method: "POST",
                url: URL,
                headers: &headers,
            };
            host.engine.intake(webhook.source, &head)?
        };
        let mut body = webhook.body.0.clone();
        let rest = body.split_off(body.len() * 2 / 3);
        intake.write(body).await?;
        if !is_large && self.chance.percent(10) {
            pass_ms(self.chance.below(3_000)).await;
        }
        intake.write(rest).await?;
        intake.finish().await
    }
}
