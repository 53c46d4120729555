//! What handlers of batches answer.

use serde::Serialize;

/// Which items of a batch are to be sent again. The names are those of the trigger: `eventID` for a pipe on a DynamoDB
/// stream, `messageId` for a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchAnswer {
    /// The items; none means that all is well.
    pub batch_item_failures: Vec<Failure>,
}

/// One item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its name.
    pub item_identifier: String,
}

impl BatchAnswer {
    /// These failed.
    pub fn failed(items: impl IntoIterator<Item = String>) -> Self {
        let failure = |item_identifier| Failure { item_identifier };
        Self {
            batch_item_failures: items.into_iter().map(failure).collect(),
        }
    }

    /// The names of what failed.
    pub fn names(&self) -> Vec<&str> {
        let failures = self.batch_item_failures.iter();
        failures.map(|f| f.item_identifier.as_str()).collect()
    }
}

/// Why a whole invocation failed: the trigger tries all of it again.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The event is not one of this function's trigger.
    #[error("the event is {found}, not {expected}; check what invokes this function")]
    Event {
        /// What came.
        found: String,
        /// What was to come.
        expected: &'static str,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] cloakroom_engine::StoreError),
    /// An upload has to be looked at again.
    #[error(transparent)]
    Upload(cloakroom_engine::upload::TakeError),
}
