//! What the provider will do, decided beforehand: a function of the seed.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::transfers::{self, IDS};
use crate::receiver::Digested;

/// How far an event may be sent before or after its turn.
const DISORDER: u32 = 15;
/// The share that is sent twice.
const DOUBLED: f64 = 0.15;
/// The sizes of the large payloads.
pub(super) const LARGE: [usize; 3] = [2_000_000, 3_000_000, 5_000_000];
/// What is held back: this number of the first transfer.
const WITHHELD: u32 = 3;

/// One webhook.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) place: Place,
    pub(super) body: Bytes,
    pub(super) digest: Digested,
    /// Whether it is too large to travel inside an event.
    pub(super) is_large: bool,
}

/// Which change of which transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) transfer: &'static str,
    pub(super) sequence: u32,
}

/// One thing the provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends a webhook, by its index.
    Send(usize),
    /// Somebody else sends it with another amount, and the signature of the true one.
    Forge(usize),
}

/// Everything the provider will do.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// In the order of what happened.
    pub(super) webhooks: Vec<Webhook>,
    /// In the order of sending, the withheld one left out.
    pub(super) steps: Vec<Step>,
    /// The index of the one that is sent after all others.
    pub(super) withheld: usize,
}

impl Script {
    /// `large` are the sizes of the payloads that do not travel inside their event.
    pub(super) fn new(events: u32, seed: u64, large: [usize; 3]) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let keys = u32::try_from(IDS.len()).expect("there are a few");
        let size_of = |number| {
            let quarter = (1..=3)
                .zip(large)
                .find(|(quarter, _)| events * quarter / 4 == number);
            quarter.map(|(_, size)| size)
        };
        let webhooks: Vec<Webhook> = (0..events)
            .map(|number| {
                let transfer = (number % keys) as usize;
                let sequence = number / keys + 1;
                let size = size_of(number);
                let body = Bytes::from(transfers::body(transfer, sequence, size.unwrap_or(0)));
                let place = Place {
                    transfer: IDS[transfer],
                    sequence,
                };
                Webhook {
                    place,
                    digest: Digested::of(&body),
                    body,
                    is_large: size.is_some(),
                }
            })
            .collect();
        let withheld = ((WITHHELD - 1) * keys) as usize;
        let mut turns = Vec::new();
        for index in (0..webhooks.len()).filter(|index| *index != withheld) {
            let number = u32::try_from(index).expect("there are at most as many as asked for");
            let turn = number + chance.random_range(0..DISORDER);
            turns.push((turn, Step::Send(index)));
            if chance.random_bool(DOUBLED) || index == 1 {
                turns.push((
                    turn + chance.random_range(0..2 * DISORDER),
                    Step::Send(index),
                ));
            }
        }
        let forged = webhooks.len() / 2 + 1;
        turns.push((events / 2, Step::Forge(forged)));
        turns.sort_by_key(|(turn, _)| *turn);
        let steps = turns.into_iter().map(|(_, step)| step).collect();
        Self {
            webhooks,
            steps,
            withheld,
        }
    }
}

impl Webhook {
    /// The same with another amount.
    pub(super) fn altered(&self) -> Bytes {
        let text = String::from_utf8_lossy(&self.body);
        text.replacen("\"value\":", "\"value\":9", 1)
            .into_bytes()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [usize; 3] = [20_000, 30_000, 50_000];

    #[test]
    fn everything_but_the_withheld_one_is_sent_out_of_order_and_some_twice() {
        for seed in 0..20 {
            let script = Script::new(60, seed, SMALL);
            let sent: Vec<usize> = script
                .steps
                .iter()
                .filter_map(|step| match step {
                    Step::Send(index) => Some(*index),
                    Step::Forge(_) => None,
                })
                .collect();
            assert!(!sent.is_sorted());
            assert!(!sent.contains(&script.withheld));
            let mut distinct = sent.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 59);
            assert!(sent.len() > distinct.len(), "some are doubled");
            assert_eq!(
                script.webhooks[script.withheld].place,
                Place {
                    transfer: IDS[0],
                    sequence: 3
                }
            );
            assert_eq!(
                script
                    .webhooks
                    .iter()
                    .filter(|webhook| webhook.is_large)
                    .count(),
                3
            );
        }
    }

    #[test]
    fn numbers_have_no_holes() {
        let script = Script::new(25, 1, SMALL);
        for id in IDS {
            let of_it = script
                .webhooks
                .iter()
                .filter(|webhook| webhook.place.transfer == id);
            let numbers: Vec<u32> = of_it.map(|webhook| webhook.place.sequence).collect();
            assert!(
                numbers
                    .iter()
                    .copied()
                    .eq(1..=u32::try_from(numbers.len()).unwrap())
            );
        }
    }

    #[test]
    fn a_forgery_differs_and_is_still_a_transfer() {
        let webhook = &Script::new(24, 1, SMALL).webhooks[0];
        let altered = webhook.altered();
        assert_ne!(altered, webhook.body);
        assert!(serde_json::from_slice::<serde_json::Value>(&altered).is_ok());
    }
}
