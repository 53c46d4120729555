//! Processes that die, between any two effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

/// One run of one process. Once it is over, nothing that belongs to it reads, writes or sends any more.
#[derive(Debug, Clone)]
pub struct Life(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    number: u32,
    over: AtomicBool,
    /// How many points it passes before it dies at one; negative: at none.
    points_left: AtomicI64,
    ended: Notify,
}

impl Life {
    /// The run with this number.
    pub fn new(number: u32) -> Self {
        Self(Arc::new(Inner {
            number,
            over: AtomicBool::new(false),
            points_left: AtomicI64::new(-1),
            ended: Notify::new(),
        }))
    }

    /// Names the run in the history.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The process dies here.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.ended.notify_waiters();
    }

    /// The process dies after so many more points.
    pub fn end_after(&self, points: u64) {
        let points = i64::try_from(points).unwrap_or(i64::MAX);
        self.0.points_left.store(points, Ordering::Relaxed);
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    /// A point at which a process can die: before a call to a port, and after it, when the answer is lost.
    pub async fn point(&self) {
        let left = self.0.points_left.load(Ordering::Relaxed);
        match left {
            ..0 => {}
            0 => self.end(),
            _ => self.0.points_left.store(left - 1, Ordering::Relaxed),
        }
        self.still_alive().await;
    }

    /// Never returns in a dead process.
    pub async fn still_alive(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the process dies.
    pub async fn ended(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.is_over() {
                return;
            }
            ended.await;
        }
    }
}
