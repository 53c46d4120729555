//! A model of the protocol, checked exhaustively for small sizes: every order in which the steps of a few workers, a few
//! faults and an operator can follow one another.
//!
//! The steps are the engine's own, cut where it reads and writes the ledger: an append reads the head, then writes; a
//! resequencer reads the head, then the range, then moves the head; a deliverer reads head and cursor, takes the lease, sends,
//! moves the cursor. What is decided in between is decided by the real pure functions of the core: where an event belongs
//! (`Rule::place`), what leaves (`need`, `resequence`), what an append may release itself (`released_by_append`).
//!
//! | file | what | models |
//! | --- | --- | --- |
//! | `state.rs` | the ledger, the workers, what is remembered for the properties | `record.rs`, `ports/ledger.rs` |
//! | `protocol.rs` | which steps are possible, and faults | `doorbell.rs`, `sweeper.rs` |
//! | `append.rs` | appends | `append.rs`, `append/` |
//! | `release.rs` | resequencers | `resequencer.rs` |
//! | `deliver.rs` | deliverers, the consumer, operators | `deliverer.rs`, `operate.rs` |
//! | `properties.rs` | what must hold | `ARCHITECTURE.md`, invariants |
//! | `sound.rs` | the protocol as it is keeps all of it | |
//! | `broken.rs` | with one rule left out, it does not | |
//!
//! Every fault, failure, retry and act of an operator comes out of a budget, and a sweep is only a step when it rings for
//! something that can move on. So no run goes on for ever, and 'everything is delivered in the end' can be checked where a run
//! ends: that is exact, where a search for endless runs would not be. Not modelled: retention, quarantine, redrives, filters,
//! several streams and several subscriptions (they share nothing), versions and `first: lowest`.

#![expect(
    clippy::unwrap_used,
    reason = "what goes wrong in a model must end the test"
)]

mod append;
mod broken;
mod deliver;
mod properties;
mod protocol;
mod release;
mod sound;
mod state;
