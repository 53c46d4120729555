//! When to try again.

use std::time::Duration;

/// The longest time a consumer may ask to be left alone by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often an event is tried in all, the first time included.
    pub attempts: u32,
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of every wait.
    pub max: Duration,
}

impl RetryPolicy {
    /// How long to wait after `failed` tries; `None` when that was the last one. `random` is uniform over all of `u64`.
    ///
    /// A consumer's `Retry-After` wins over the policy, up to [`RETRY_AFTER_MAX`]; it is a lower bound, so the jitter
    /// (of at most `base`) comes on top, and a crowd that was sent away together does not come back together.
    pub fn wait_after(
        &self,
        failed: u32,
        retry_after: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let doublings = failed.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.max);
        Some(match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX) + jitter(self.base.min(self.max), random),
            None => jitter(bound, random),
        })
    }
}

/// A uniform duration of at most `bound`.
fn jitter(bound: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    let scaled = u128::from(nanos) * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 10,
        base: Duration::from_secs(1),
        max: Duration::from_secs(600),
    };

    #[test]
    fn waits_double_up_to_the_maximum_and_then_end() {
        let longest = |failed| {
            POLICY
                .wait_after(failed, None, u64::MAX)
                .map(|wait| wait.as_secs())
        };
        assert_eq!(
            [longest(1), longest(2), longest(3), longest(9)],
            [Some(1), Some(2), Some(4), Some(256)]
        );
        assert_eq!(longest(10), None);
        let patient = RetryPolicy {
            attempts: 100,
            ..POLICY
        };
        assert_eq!(patient.wait_after(60, None, u64::MAX), Some(POLICY.max));
    }

    #[test]
    fn retry_after_wins_over_the_maximum_but_not_for_ever() {
        let asked = Duration::from_secs(3_600);
        assert_eq!(POLICY.wait_after(1, Some(asked), 0), Some(asked));
        assert_eq!(
            POLICY.wait_after(1, Some(Duration::MAX), 0),
            Some(RETRY_AFTER_MAX)
        );
        assert_eq!(POLICY.wait_after(10, Some(asked), 0), None);
        let latest = POLICY.wait_after(1, Some(asked), u64::MAX);
        assert_eq!(
            latest,
            Some(asked + POLICY.base),
            "and no crowd comes back together"
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_never_above_the_bound(failed in 0u32..50, random: u64) {
            if let Some(wait) = POLICY.wait_after(failed, None, random) {
                prop_assert!(wait <= POLICY.max);
            }
        }
    }
}
