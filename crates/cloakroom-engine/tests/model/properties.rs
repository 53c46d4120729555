//! What must hold in every state, in every state where nothing more can happen, and what must be able to happen.

use stateright::Property;

use crate::state::{Append, Content, Protocol, State, Wait, Wrong};

pub(crate) const HEAD_RISES: &str = "a head never goes back";
pub(crate) const FROZEN: &str = "nothing is inserted at or below the head";
pub(crate) const UNCHANGED: &str = "an entry is never overwritten";
pub(crate) const ON_RECORD: &str = "what was acknowledged is on record, once";
pub(crate) const IN_ORDER: &str = "nothing is sent before what comes before it is taken or dead";
pub(crate) const NOT_REPEATED: &str = "what a consumer acknowledged comes again only after a crash, a pause, a lost answer or an operator's act";
pub(crate) const RECORDED: &str = "a cursor passes only what is settled or on record as dead";
pub(crate) const BELOW_HEAD: &str = "nothing is sent, and no cursor stands, above the head";
pub(crate) const ENDS_WELL: &str =
    "in the end everything is acknowledged, released, and delivered or parked";

// What happens in some state, so that nothing above holds only because nothing happens.
pub(crate) const LATE: &str = "an event comes late";
pub(crate) const PASSED_OVER: &str = "a missing number is passed over";
pub(crate) const PARKED: &str = "a stream is parked";
pub(crate) const REPEATED: &str = "an event is sent twice";
pub(crate) const SKIPPED: &str = "an event is skipped";
pub(crate) const REPLAYED: &str = "a stream is replayed";

pub(crate) fn of(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let sometimes = Property::<Protocol>::sometimes;
    let mut all = vec![
        sometimes(LATE, |_, state| state.seen.placed_late),
        sometimes(PASSED_OVER, |_, state| {
            state
                .entries
                .values()
                .any(|entry| entry.content == Content::Gap)
        }),
        sometimes(PARKED, |_, state| state.seen.parked),
        sometimes(REPEATED, |_, state| state.seen.repeated),
        sometimes(SKIPPED, |_, state| !state.seen.dead.is_empty()),
        sometimes(REPLAYED, |_, state| {
            state.cursor.epoch > 0 && state.cursor.position.is_none()
        }),
    ];
    all.retain(|property| protocol.reaches.contains(&property.name));
    all.extend(always());
    all
}

fn always() -> Vec<Property<Protocol>> {
    let always = Property::<Protocol>::always;
    vec![
        always(HEAD_RISES, |_, state| never(state, Wrong::HeadWentBack)),
        always(FROZEN, |_, state| never(state, Wrong::InsertedBelowHead)),
        always(UNCHANGED, |_, state| never(state, Wrong::EntryOverwritten)),
        always(ON_RECORD, |_, state| is_on_record(state)),
        always(IN_ORDER, |_, state| never(state, Wrong::SentTooEarly)),
        always(NOT_REPEATED, |_, state| {
            never(state, Wrong::RepeatedWithoutCause)
        }),
        always(RECORDED, |_, state| passes_on_record(state)),
        always(BELOW_HEAD, |_, state| stays_below_head(state)),
        always(ENDS_WELL, |model, state| {
            is_done(state) || !model.has_ended(state)
        }),
    ]
}

fn never(state: &State, wrong: Wrong) -> bool {
    !state.seen.wrong.contains(&wrong)
}

fn is_on_record(state: &State) -> bool {
    (0..state.appends.len()).all(|event| {
        let entries = state.entries.values();
        let found = entries.filter(|entry| entry.content == Content::Event(event));
        let found = found.count();
        found == 1 || (found == 0 && !state.seen.acknowledged.contains(&event))
    })
}

fn passes_on_record(state: &State) -> bool {
    let mut entries = state.entries.iter();
    entries.all(|(at, entry)| {
        Some(at) > state.cursor.position.as_ref()
            || entry.content == Content::Placeholder
            || state.seen.settled.contains(at)
            || state.seen.dead.contains(at)
    })
}

fn stays_below_head(state: &State) -> bool {
    let head = &state.head.0.position;
    state.cursor.position <= *head && state.seen.taken.last() <= head.as_ref()
}

fn is_done(state: &State) -> bool {
    let acknowledged = state.appends.iter().all(|one| *one == Append::Acknowledged);
    let last = state.entries.last_key_value().map(|(at, _)| at);
    let released = state.head.0.position.as_ref() >= last;
    let parked = state.cursor.wait == Wait::Parked;
    let delivered = state.cursor.position == state.head.0.position || state.deliverers.is_empty();
    acknowledged && released && (parked || delivered)
}
