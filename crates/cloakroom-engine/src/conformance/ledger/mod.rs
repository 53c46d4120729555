//! The suite for [`Ledger`].

mod concurrency;
mod conditions;
mod paging;
mod reads;

use crate::ports::{Conflict, Ledger, TransactError, Write};
use crate::record::{Key, Record};

/// Holds a ledger to its contract. `make` gives an empty ledger each time.
pub async fn ledger<L: Ledger>(make: impl AsyncFn() -> L) {
    conditions::every_kind_is_kept(&make().await).await;
    conditions::create_only_where_nothing_is(&make().await).await;
    conditions::replace_compares(&make().await).await;
    conditions::delete_compares(&make().await).await;
    conditions::all_or_nothing(&make().await).await;
    conditions::a_full_transaction(&make().await).await;
    conditions::admit(&make().await).await;
    conditions::base_allows(&make().await).await;
    conditions::odd_keys_stay_apart(&make().await).await;
    reads::events(&make().await).await;
    reads::last_event(&make().await).await;
    reads::streams_do_not_mix(&make().await).await;
    paging::every_index(&make().await).await;
    paging::indexes_are_narrow(&make().await).await;
    paging::attention_moves(&make().await).await;
    paging::while_writing(&make().await).await;
    concurrency::one_create_wins(make().await).await;
    concurrency::admits_do_not_conflict(make().await).await;
    concurrency::replaces_are_never_lost(make().await).await;
    concurrency::a_head_is_never_ahead_of_its_events(make().await).await;
}

/// How often a call is tried again before an unavailable ledger counts as broken.
const TRIES: u32 = 50;

/// Transacts, again when the ledger asks for it.
async fn transact<L: Ledger>(ledger: &L, writes: &[Write]) -> Result<(), Conflict> {
    for _ in 0..TRIES {
        match ledger.transact(writes.to_vec()).await {
            Ok(()) => return Ok(()),
            Err(TransactError::Conflict(conflict)) => return Err(*conflict),
            Err(TransactError::Ledger(error)) => {
                tracing::debug!(%error, "the ledger asks to try again");
                tokio::task::yield_now().await;
            }
        }
    }
    panic!("the ledger stayed unavailable over {TRIES} tries of {writes:?}");
}

async fn accept<L: Ledger>(ledger: &L, writes: &[Write]) {
    if let Err(conflict) = transact(ledger, writes).await {
        panic!("{writes:?} should have been accepted, but met {conflict:?}");
    }
}

/// Expects that write number `write` is refused with `stored` as what it met.
async fn refuse<L: Ledger>(ledger: &L, writes: &[Write], write: usize, stored: Option<&Record>) {
    let expected = Conflict {
        write,
        stored: stored.cloned(),
    };
    assert_eq!(
        transact(ledger, writes).await,
        Err(expected),
        "the first condition that does not hold is reported, with what is stored: {writes:?}"
    );
}

async fn get<L: Ledger>(ledger: &L, key: &Key) -> Option<Record> {
    ledger
        .get(key)
        .await
        .unwrap_or_else(|error| panic!("reading {key:?}: {error}"))
}

fn create(record: impl Into<Record>) -> Write {
    Write::Create(record.into())
}

macro_rules! into_record {
    ($($kind:ident($of:path)),* $(,)?) => {
        $(impl From<$of> for Record {
            fn from(record: $of) -> Self {
                Self::$kind(record)
            }
        })*
    };
}

into_record! {
    Head(crate::record::HeadRecord),
    Event(cloakroom_core::event::Event),
    Cursor(crate::record::Cursor),
    DeadLetter(crate::record::DeadLetter),
    Identity(crate::record::IdentityRecord),
    Quarantined(crate::record::Quarantined),
    Note(crate::record::Note),
    Passed(crate::record::Passed),
}
