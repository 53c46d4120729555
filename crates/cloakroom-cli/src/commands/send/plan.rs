//! What is sent, how often, and in which order: a function of the seed.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What goes wrong on the way, as it does in life.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mischief {
    pub(super) shuffle: bool,
    /// The share that is sent twice.
    pub(super) duplicates: f64,
    /// The share that is not sent at all.
    pub(super) loss: f64,
}

/// The numbers of the events, from 0, in the order of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) order: Vec<u32>,
    pub(super) doubled: usize,
    pub(super) lost: usize,
}

impl Plan {
    pub(super) fn new(count: u32, mischief: &Mischief, seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let mut plan = Self {
            order: Vec::new(),
            doubled: 0,
            lost: 0,
        };
        for number in 0..count {
            if chance.random_bool(mischief.loss) {
                plan.lost += 1;
                continue;
            }
            plan.order.push(number);
            if chance.random_bool(mischief.duplicates) {
                plan.doubled += 1;
                plan.order.push(number);
            }
        }
        if mischief.shuffle {
            plan.order.shuffle(&mut chance);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_mischief_everything_is_sent_once_in_order() {
        let plan = Plan::new(4, &Mischief::default(), 1);
        assert_eq!(
            plan,
            Plan {
                order: vec![0, 1, 2, 3],
                doubled: 0,
                lost: 0
            }
        );
    }

    #[test]
    fn everything_is_accounted_for_and_the_seed_decides() {
        let mischief = Mischief {
            shuffle: true,
            duplicates: 0.2,
            loss: 0.1,
        };
        let plan = Plan::new(1_000, &mischief, 7);
        assert_eq!(plan.order.len(), 1_000 - plan.lost + plan.doubled);
        assert!(plan.lost > 0 && plan.doubled > 0 && !plan.order.is_sorted());
        let mut distinct = plan.order.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 1_000 - plan.lost);
        assert_eq!(plan, Plan::new(1_000, &mischief, 7));
        assert_ne!(plan.order, Plan::new(1_000, &mischief, 8).order);
    }

    #[test]
    fn a_share_of_one_is_all_of_them() {
        let plan = Plan::new(
            5,
            &Mischief {
                duplicates: 1.0,
                ..Mischief::default()
            },
            1,
        );
        assert_eq!(plan.order, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert!(
            Plan::new(
                5,
                &Mischief {
                    loss: 1.0,
                    ..Mischief::default()
                },
                1
            )
            .order
            .is_empty()
        );
    }
}
