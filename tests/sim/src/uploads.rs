//! Providers that put their bodies into the store themselves, and what tells of it: at least once, late, in any order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_engine::ports::{Announced, ClaimError, Offer, Staged, UploadError, Uploads};
use cloakroom_engine::upload::Taken;
use futures::StreamExt as _;

use crate::chance::Chance;
use crate::life::Life;
use crate::network::{Counted, is_large, others_first};
use crate::provider::{URL, Webhook};
use crate::stores::{Faults, PATIENCE};
use crate::time::{pass, pass_ms, secs};
use crate::trace::Fact;
use crate::world::{Host, World};

/// How many webhooks of a hundred are uploaded.
const CHOSEN: u64 = 10;
/// How long providers wait before they upload: some longer than a signature is fresh.
const DELAYS: [u64; 4] = [0, 1, 20, 400];
/// How long an offer is good for.
const VALID: Duration = Duration::from_secs(600);

/// What was uploaded, and who is to be told of it.
#[derive(Debug)]
pub struct Staging {
    chance: Chance,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    offers: BTreeMap<String, Announced>,
    staged: BTreeMap<String, Arc<Webhook>>,
    told: Vec<String>,
}

impl Staging {
    /// Nothing is there yet.
    pub fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed, "uploads"),
            kept: Mutex::default(),
        }
    }

    /// Whether the next webhook is uploaded.
    pub fn is_chosen(&self) -> bool {
        self.chance.percent(CHOSEN)
    }

    /// How many uploads have not been taken in yet.
    pub fn waiting(&self) -> usize {
        self.lock().staged.len()
    }

    fn put(&self, place: &str, webhook: &Arc<Webhook>) {
        let mut kept = self.lock();
        kept.staged.insert(place.to_owned(), Arc::clone(webhook));
        kept.told.push(place.to_owned());
        if self.chance.percent(15) {
            kept.told.push(place.to_owned());
        }
    }

    /// A place where something was put, in any order.
    fn told(&self) -> Option<(String, Option<Arc<Webhook>>)> {
        let mut kept = self.lock();
        let len = kept.told.len();
        let place = (len > 0).then(|| kept.told.swap_remove(self.chance.index(len)))?;
        let webhook = kept.staged.get(&place).cloned();
        Some((place, webhook))
    }

    /// Whoever was told has not finished.
    fn tell_again(&self, place: String) {
        self.lock().told.push(place);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The staging area as one process sees it.
struct SimUploads {
    staging: Arc<Staging>,
    life: Life,
    faults: Arc<Faults>,
}

#[async_trait]
impl Uploads for SimUploads {
    async fn offer(&self, announced: &Announced) -> Result<Offer, UploadError> {
        self.faults.point(&self.life).await?;
        let mut kept = self.staging.lock();
        let place = format!("staged/{}", kept.offers.len());
        kept.offers.insert(place.clone(), announced.clone());
        Ok(Offer {
            url: format!("https://store.example/{place}"),
            headers: BTreeMap::new(),
            place,
            expires: announced.offered.after(VALID),
        })
    }

    async fn staged(&self, place: &str) -> Result<Option<Staged>, ClaimError> {
        self.faults.point(&self.life).await?;
        let found = {
            let kept = self.staging.lock();
            let webhook = kept.staged.get(place).cloned();
            webhook.map(|webhook| (webhook, kept.offers.get(place).cloned()))
        };
        let Some((webhook, announced)) = found else {
            return Ok(None);
        };
        let outcome = self.faults.point(&self.life).await;
        if is_large(&webhook) {
            others_first().await;
        }
        let mut body = webhook.body.0.clone();
        let size = body.len() as u64;
        let rest = body.split_off(body.len() / 2);
        // It may break off in the middle.
        let chunks = [Ok(body), outcome.map(|()| rest)];
        Ok(Some(Staged {
            announced,
            size,
            body: futures::stream::iter(chunks).boxed(),
        }))
    }

    async fn discard(&self, place: &str) -> Result<(), ClaimError> {
        self.faults.point(&self.life).await?;
        self.staging.lock().staged.remove(place);
        self.faults.point(&self.life).await
    }

    fn size_max(&self) -> u64 {
        5 << 30
    }
}

impl World {
    fn uploads(&self, host: &Host) -> SimUploads {
        SimUploads {
            staging: Arc::clone(&self.staging),
            life: host.life.clone(),
            faults: Arc::clone(&self.faults),
        }
    }

    /// Announces a webhook until there is an offer, and uploads its body; now and then once more.
    pub(crate) async fn upload(&self, webhook: &Arc<Webhook>, tries: u64) {
        let chance = &self.staging.chance;
        for _ in 0..tries {
            let offer = match self.some_host(|_| true) {
                Some(host) => self.offer(&host, webhook).await,
                None => None,
            };
            if let Some(offer) = offer {
                let slow = secs(chance.pick(&DELAYS));
                let mut waited = Duration::ZERO;
                while waited < slow && !self.is_calm() {
                    pass(secs(1)).await;
                    waited += secs(1);
                }
                if self.clock.now() < offer.expires {
                    self.put(&offer.place, webhook);
                    if chance.percent(10) {
                        pass_ms(chance.below(5_000)).await;
                        self.put(&offer.place, webhook);
                    }
                    return;
                }
            }
            pass_ms(500 + chance.below(6_000)).await;
        }
    }

    /// `None` when it was refused, the connection was lost, or nobody answered in time.
    async fn offer(&self, host: &Host, webhook: &Webhook) -> Option<Offer> {
        let announced = Announced {
            source: webhook.source.into(),
            url: URL.to_owned(),
            headers: webhook.headers(self.clock.now()),
            size: webhook.body.0.len() as u64,
            sha256: webhook.body.sha256(),
            offered: host.engine.now(),
        };
        let uploads = self.uploads(host);
        tokio::select! {
            biased;
            () = host.life.ended() => None,
            () = pass(PATIENCE) => None,
            offer = host.engine.offer_upload(&uploads, &announced) => offer.ok(),
        }
    }

    fn put(&self, place: &str, webhook: &Arc<Webhook>) {
        self.trace.add(Fact::Uploaded {
            webhook: Arc::clone(webhook),
        });
        self.staging.put(place, webhook);
    }

    /// Has processes take in what was uploaded, for ever.
    pub(crate) async fn take_uploads(self: Arc<Self>) {
        loop {
            pass_ms(1 + self.staging.chance.below(500)).await;
            let Some(host) = self.some_host(|_| true) else {
                continue;
            };
            if let Some((place, webhook)) = self.staging.told()
                && !self.take_upload(&host, &place, webhook.as_ref()).await
            {
                self.staging.tell_again(place);
            }
        }
    }

    /// Whether it need not be looked at again.
    async fn take_upload(&self, host: &Host, place: &str, webhook: Option<&Arc<Webhook>>) -> bool {
        let _alone = match webhook {
            Some(webhook) if is_large(webhook) => Some(self.alone().await),
            _ => None,
        };
        let _under_way = Counted::new(&self.under_way);
        let uploads = self.uploads(host);
        let taken = tokio::select! {
            biased;
            () = host.life.ended() => return false,
            () = pass(PATIENCE) => return false,
            taken = host.engine.take_upload(&uploads, place) => taken,
        };
        match (taken, webhook.cloned()) {
            (Ok(Taken::In(receipt)), Some(webhook)) => {
                self.trace.add(Fact::TakenIn { webhook, receipt });
            }
            (Ok(Taken::Refused(why)), Some(webhook)) => {
                let why = why.to_string();
                self.trace.add(Fact::Discarded { webhook, why });
            }
            (Ok(_), _) => {}
            (Err(_), _) => return false,
        }
        true
    }
}
