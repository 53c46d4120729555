//! How much may be under way at once: what is over is refused before memory grows.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is counted in units of this many bytes.
const UNIT: usize = 1024;

/// The most that may be under way at once.
#[derive(Debug)]
pub struct Budget {
    requests: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl Budget {
    /// At most `requests` at once, holding at most `bytes` of bodies in memory.
    pub fn new(requests: usize, bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(UNIT);
        Self {
            requests: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            memory: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// A place for one more request, or `None`.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Reservation> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        Some(Reservation {
            budget: Arc::clone(self),
            _request: request,
            memory: None,
            unused: 0,
        })
    }
}

/// One request's share. Dropping it gives everything back.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    _request: OwnedSemaphorePermit,
    memory: Option<OwnedSemaphorePermit>,
    unused: usize,
}

impl Reservation {
    /// Reserves memory for `bytes` more. `false` when there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        if bytes <= self.unused {
            self.unused -= bytes;
            return true;
        }
        let units = (bytes - self.unused).div_ceil(UNIT);
        let Ok(more) = u32::try_from(units) else {
            return false;
        };
        let Ok(permit) = Arc::clone(&self.budget.memory).try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.memory {
            Some(memory) => memory.merge(permit),
            None => self.memory = Some(permit),
        }
        self.unused += units * UNIT - bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_budget_is_refused_until_something_is_given_back() {
        let budget = Arc::new(Budget::new(2, 10 * UNIT as u64));
        let mut first = budget.admit().unwrap();
        let mut second = budget.admit().unwrap();
        assert!(budget.admit().is_none());
        assert!(first.grow(9 * UNIT));
        assert!(second.grow(1));
        assert!(
            second.grow(UNIT - 1),
            "the rest of the unit is there already"
        );
        assert!(!second.grow(1));
        drop(first);
        assert!(second.grow(9 * UNIT));
        assert!(budget.admit().is_some());
    }
}
