//! The checker: reads the complete history and says what of it breaks a promise.
//!
//! | file | what |
//! | --- | --- |
//! | `model` | what the ledger holds at every moment, rebuilt from the transactions |
//! | `entries` | entries, heads and what is removed |
//! | `cursors` | cursors, dead letters and what passes events over |
//! | `answers` | receipts, and what became of them |
//! | `deliveries` | what consumers saw |
//! | `notices` | what is told of state changes |

mod answers;
mod cursors;
mod deliveries;
mod entries;
mod model;
mod notices;

use std::fmt;
use std::sync::Arc;

use crate::trace::{Act, Fact};
use crate::world::World;
use model::Model;

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Acknowledged, and not durable, not what was sent, or not delivered although that was waited for.
    Acknowledged,
    /// Something unverified was stored or acknowledged.
    Forged,
    /// A head went back, or forgot its base or its floor.
    Head,
    /// Something was put or changed at or below a head.
    Frozen,
    /// An event was sent before an earlier one was settled, or before it was released.
    Order,
    /// A cursor passed an event that was neither taken nor passed over on record.
    Unsettled,
    /// Something was passed over without a record, or apart from it.
    Record,
    /// Something did not happen in time although nothing went wrong any more.
    Stall,
    /// A claim is not what its entry says, or was deleted while it was needed.
    Claim,
    /// Something was removed that was young, or not settled by everybody.
    Retention,
    /// A payload or a secret was logged.
    Leak,
    /// A consumer got other bytes than were sent.
    Bytes,
    /// One identity became two events, or has two ids.
    Identity,
    /// Two senders served one stream of one subscription at once.
    Lease,
    /// A cursor was moved back without a new epoch.
    Epoch,
    /// A sink was given more than it takes.
    Sink,
    /// A source's ordering was changed, or could not be kept.
    Ordering,
    /// Numbers were passed over before their time, or against the policy; or something left before its hold was over.
    Gap,
    /// A dense stream began above events it has.
    Base,
    /// A consumer that remembers the last sequence would have lost an event.
    Effective,
    /// An entry stands in a stream that no sweep will find.
    Index,
    /// A state change was not told, or apart from it; or one was told that did not happen.
    Notice,
    /// Something panicked.
    Panic,
    /// Two runs of one seed differ.
    Determinism,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}

/// One broken promise.
#[derive(Debug, Clone)]
pub struct Breach {
    /// Which.
    pub kind: Kind,
    /// What happened, and where in the history.
    pub text: String,
}

impl Breach {
    /// A breach of this promise.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

/// Reads the whole history of a world.
pub async fn check(world: &World) -> Vec<Breach> {
    let mut model = world.trace.read(|facts| {
        let mut model = Model::new(facts, world.bad_clocks);
        for (number, (at, fact)) in facts.iter().enumerate() {
            (model.number, model.at) = (number, *at);
            model.follow(fact);
        }
        model
    });
    model.check_uploads_in_the_end();
    model.check_claims_in_the_end(world);
    model.breaches
}

impl Model {
    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::Started { life, plan } => {
                self.inline_max = plan.settings.inline_max;
                for source in &plan.sources {
                    let rule = source.rule.clone();
                    self.rules.insert(source.stream_source(), rule);
                }
                self.plans.insert(*life, Arc::clone(plan));
            }
            Fact::StartRefused { why, .. } => {
                let is_refused = ["raise `generation`", "its generation is"];
                if !is_refused.iter().any(|words| why.contains(words)) {
                    self.breach(
                        Kind::Ordering,
                        format!("another ordering was taken: {why:?}"),
                    );
                }
            }
            Fact::Died { life } => {
                self.void_calls(|call| call.life == *life);
            }
            Fact::Transacted { life, now, writes } => self.transacted(*life, *now, writes),
            Fact::ClaimStored { claim, sha256 } => {
                if self.forged.contains(sha256) {
                    self.breach(Kind::Forged, format!("{claim:?} holds what was forged"));
                }
                self.claims.insert(claim.clone(), *sha256);
            }
            Fact::ClaimDeleted { claim } => self.claim_deleted(claim),
            Fact::Acknowledged {
                life,
                webhook,
                receipt,
            } => {
                self.acknowledged(webhook, receipt);
                self.check_delivered(*life, webhook, receipt);
            }
            Fact::NotDelivered { webhook, receipt } => self.acknowledged(webhook, receipt),
            Fact::Uploaded { webhook } => {
                self.uploaded.push(Arc::clone(webhook));
            }
            Fact::TakenIn { webhook, receipt } => self.acknowledged(webhook, receipt),
            Fact::Discarded { webhook, why } => {
                if webhook.forged.is_none() {
                    let text = format!("the upload of {} was discarded: {why}", webhook.id);
                    self.breach(Kind::Acknowledged, text);
                }
            }
            Fact::Sent {
                call,
                life,
                subscription,
                events,
            } => self.sent(*call, *life, subscription, events),
            Fact::Taken { call } => self.taken(*call),
            Fact::Ended { call } => {
                self.calls.remove(call);
            }
            Fact::Pulled {
                subscription,
                events,
            } => self.arrived(subscription, events),
            Fact::Acknowledges { subscription, ids } => self.acknowledges(subscription, ids),
            Fact::Operator {
                act: Act::SkipGap(stream),
            } => {
                self.skipped_by_operators.insert(stream.clone());
            }
            Fact::Requested { .. }
            | Fact::Refused { .. }
            | Fact::Operator { .. }
            | Fact::Healed => {}
            // A lease cannot hold what a clock that was set lets go of.
            Fact::ClockSet { .. } => {
                self.clock_set_at = self.at;
                self.void_calls(|_| true);
            }
        }
    }
}
