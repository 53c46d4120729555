//! The contract of the port.

use cloakroom_aws::ClientOptions;
use cloakroom_emulators::{DynamoDbLocal, MiniStack};
use cloakroom_engine::conformance;

use crate::given::{empty_ledger, ministack};

/// On MiniStack, and also on DynamoDB Local when its licence was accepted (see
/// [`cloakroom_emulators::ACCEPT_DYNAMODB_LOCAL`]).
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_contract() {
    let second = DynamoDbLocal::start_if_accepted().unwrap_or_else(|error| panic!("{error}"));
    if let Some(second) = second {
        let options = ClientOptions::emulator(second.endpoint(), MiniStack::REGION);
        conformance::ledger(async || empty_ledger(options.clone()).await).await;
    }
    conformance::ledger(async || empty_ledger(ministack()).await).await;
}
