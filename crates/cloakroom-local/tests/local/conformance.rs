//! The suites that every adapter must pass.

use std::sync::Mutex;

use cloakroom_engine::conformance;
use cloakroom_local::{LocalClaims, LocalLedger};
use tempfile::TempDir;

use super::options;

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
