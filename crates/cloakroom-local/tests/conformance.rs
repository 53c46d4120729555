//! The suites that every adapter must pass, on a real disk.

use std::sync::Mutex;

use cloakroom_core::time::Timestamp;
use cloakroom_engine::conformance;
use cloakroom_local::{LocalClaims, LocalLedger, Options};
use tempfile::TempDir;

fn options() -> Options {
    Options::at(Timestamp::from_secs(1_800_000_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_ledger_keeps_the_contract() {
    let folders: Mutex<Vec<TempDir>> = Mutex::default();
    conformance::ledger(async || {
        let folder = tempfile::tempdir().unwrap();
        let ledger = LocalLedger::open(folder.path(), &options()).unwrap();
        folders.lock().unwrap().push(folder);
        ledger
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_claims_keep_the_contract() {
    let folders: Mutex<Vec<TempDir>> = Mutex::default();
    conformance::claims(async || {
        let folder = tempfile::tempdir().unwrap();
        let claims = LocalClaims::open(folder.path(), &options()).unwrap();
        folders.lock().unwrap().push(folder);
        claims
    })
    .await;
}
