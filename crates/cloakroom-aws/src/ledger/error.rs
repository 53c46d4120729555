//! What DynamoDB's errors mean, and what to do about each.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use cloakroom_engine::ports::LedgerError;

/// Why a table cannot be the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no such table.
    #[error(
        "there is no DynamoDB table {table:?} in Region {region}: create it (`terraform apply`), or name the right table \
         and Region (AWS_REGION)"
    )]
    Missing {
        /// The table.
        table: String,
        /// Where it was looked for.
        region: String,
    },
    /// The table is named by an ARN of another Region.
    #[error(
        "table {table:?} is in Region {named}, but requests go to {region}: set AWS_REGION={named}"
    )]
    OtherRegion {
        /// The table.
        table: String,
        /// The Region in its ARN.
        named: String,
        /// The Region of the client.
        region: String,
    },
    /// The caller may not use it.
    #[error("{0}")]
    Denied(String),
    /// It is a table, but not one of ours.
    #[error(
        "DynamoDB table {table:?} is not a ledger: {what}; create a table as `crates/cloakroom-aws/src/ledger/table.json` \
         defines it (`terraform apply`)"
    )]
    Schema {
        /// The table.
        table: String,
        /// What differs.
        what: String,
    },
    /// It is being made, changed or removed.
    #[error(
        "DynamoDB table {table} is not ready, its status is {status}: try again when it is ACTIVE"
    )]
    NotReady {
        /// The table.
        table: String,
        /// Its status.
        status: String,
    },
    /// DynamoDB did not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// What the caller of DynamoDB does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Try the same again, soon: somebody else was writing to the same items.
    #[error("{0}")]
    Contended(String),
    /// Somebody must allow it first.
    #[error("{0}")]
    Denied(String),
    /// Give up for now. The SDK has tried as often as makes sense.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Fault> for LedgerError {
    /// All of them may pass once the remedy was applied, and until then nothing may be acknowledged: unavailable.
    fn from(fault: Fault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}

/// What an error of `action` means.
pub(crate) fn fault<E, R>(action: &str, table: &str, region: &str, error: &SdkError<E, R>) -> Fault
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let service = error.as_service_error();
    let code = service.and_then(ProvideErrorMetadata::code);
    let message = service.and_then(ProvideErrorMetadata::message);
    match code {
        Some(code) => fault_of(action, table, region, code, message.unwrap_or("no message")),
        None => Fault::Unavailable(format!(
            "{action} on DynamoDB table {table:?}: {}",
            DisplayErrorContext(error)
        )),
    }
}

/// As [`fault`], by the service's own code and message.
pub(crate) fn fault_of(
    action: &str,
    table: &str,
    region: &str,
    code: &str,
    message: &str,
) -> Fault {
    let on = format!("{action} on DynamoDB table {table:?}");
    match code {
        "TransactionConflictException"
        | "TransactionConflict"
        | "TransactionInProgressException" => {
            Fault::Contended(format!("{on}: another transaction is under way ({code})"))
        }
        // As a reason of a cancelled transaction: there the SDK does not try again by itself.
        "ThrottlingError" | "ProvisionedThroughputExceeded" => {
            Fault::Contended(format!("{on} was throttled ({code}): {message}"))
        }
        "AccessDeniedException" => Fault::Denied(format!(
            "{on} is not allowed: let the role's policy allow {} on the table and its indexes ({message})",
            permissions_of(action)
        )),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => Fault::Denied(format!(
            "{on}: AWS does not accept the credentials ({code}): check the profile, the role and the machine's clock"
        )),
        "ResourceNotFoundException" => Fault::Unavailable(format!(
            "{on}: there is no such table or index in Region {region}: create it (`terraform apply`), or name the right \
             table and Region"
        )),
        "ValidationException" | "ValidationError"
            if message.contains("size") && message.contains("exceeded") =>
        {
            Fault::Unavailable(format!(
                "{on}: a record is larger than DynamoDB stores (400 KB an item, 4 MB a transaction): lower \
                 `claims.inline_max` ({message})"
            ))
        }
        "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => Fault::Unavailable(format!(
            "{on} was throttled ({code}): it passes by itself, unless one key takes more than 1,000 write units a second \
                 or the table has a low limit"
        )),
        _ => Fault::Unavailable(format!("{on} failed ({code}): {message}")),
    }
}

/// What an action takes. A transaction has no permission of its own: each of its items takes one.
fn permissions_of(action: &str) -> String {
    match action {
        "TransactWriteItems" => {
            "dynamodb:ConditionCheckItem, dynamodb:DeleteItem, dynamodb:PutItem and dynamodb:UpdateItem"
                .to_owned()
        }
        _ => format!("dynamodb:{action}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, message: &str, expected: &str) {
        let fault = fault_of("PutItem", "cloakroom", "eu-west-1", code, message);
        assert!(fault.to_string().contains(expected), "{fault:?}");
        assert!(matches!(
            LedgerError::from(fault),
            LedgerError::Unavailable(_)
        ));
    }

    #[test]
    fn every_error_names_its_remedy() {
        check("AccessDeniedException", "User: x", "allow dynamodb:PutItem");
        check("ResourceNotFoundException", "", "Region eu-west-1");
        check("ExpiredTokenException", "", "credentials");
        check(
            "ValidationException",
            "Item size has exceeded the maximum allowed size",
            "lower `claims.inline_max`",
        );
        check("ProvisionedThroughputExceededException", "", "throttled");
        check("InternalServerError", "internal", "internal");
    }

    #[test]
    fn a_transaction_is_allowed_by_what_its_items_take() {
        let denied = fault_of("TransactWriteItems", "t", "r", "AccessDeniedException", "");
        let text = denied.to_string();
        assert!(text.contains("dynamodb:ConditionCheckItem"), "{text}");
        assert!(!text.contains("dynamodb:TransactWriteItems"), "{text}");
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again_here() {
        let contended = |code| {
            let fault = fault_of("TransactWriteItems", "t", "r", code, "");
            matches!(fault, Fault::Contended(_))
        };
        for code in [
            "TransactionConflict",
            "TransactionConflictException",
            "TransactionInProgressException",
            "ThrottlingError",
            "ProvisionedThroughputExceeded",
        ] {
            assert!(contended(code), "{code}");
        }
        for code in [
            "AccessDeniedException",
            "ValidationError",
            "ResourceNotFoundException",
        ] {
            assert!(!contended(code), "{code}");
        }
    }
}
