//! Panics, wherever they are caught: a worker that panics goes on as if a store had failed, and a task of its own just ends.

use std::cell::RefCell;
use std::sync::Once;

use crate::check::{Breach, Kind};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What panics on this thread. A run has one thread, and the threads that hash for it pass their panics on.
#[derive(Debug)]
pub struct Panics;

impl Panics {
    /// From now on.
    pub fn watch() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let print = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                SEEN.with_borrow_mut(|seen| seen.push(panic.to_string()));
                print(panic);
            }));
        });
        SEEN.take();
        Self
    }

    /// What panicked.
    pub fn seen(&self) -> Vec<Breach> {
        let seen = SEEN.take().into_iter();
        seen.map(|text| Breach::new(Kind::Panic, text)).collect()
    }
}
