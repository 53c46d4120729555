//! Ledgers in tables of their own.

use std::sync::atomic::{AtomicU32, Ordering};

use cloakroom_aws::{ClientOptions, DynamoLedger};
use cloakroom_emulators::MiniStack;

/// How the shared MiniStack is reached.
pub(crate) fn ministack() -> ClientOptions {
    ClientOptions::emulator(MiniStack::shared().endpoint(), MiniStack::REGION)
}

/// A name that no other table of this process has.
pub(crate) fn table_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("ledger-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// An empty ledger in a table of its own.
pub(crate) async fn empty_ledger(options: ClientOptions) -> DynamoLedger {
    let config = options.load().await.expect("the Region is given");
    let ledger = DynamoLedger::new(&config, table_name());
    let made = ledger.create_table().await;
    made.unwrap_or_else(|error| panic!("{error}"));
    ledger
}
