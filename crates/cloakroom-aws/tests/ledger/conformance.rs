//! The contract of the port.

use cloakroom_engine::conformance;

use crate::given::{empty_ledger, ministack};

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_contract_on_ministack() {
    conformance::ledger(async || empty_ledger(ministack()).await).await;
}
