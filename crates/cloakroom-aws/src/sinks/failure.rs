//! What a service refused, as the outcome of a delivery.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use cloakroom_engine::ports::Outcome;

use crate::fault::{Refused, refused};

/// A call and its target, for the words of a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The permission it takes, e.g. `sqs:SendMessage`.
    pub(super) action: &'a str,
    /// What it goes to, in a word: `queue`, `topic`, ….
    pub(super) what: &'a str,
    /// Its name or ARN.
    pub(super) target: &'a str,
}

impl Call<'_> {
    /// The outcome of a call that failed.
    pub(super) fn failed<E>(self, error: &SdkError<E, HttpResponse>) -> Outcome
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.refused(&refused(error))
    }

    /// The outcome of a refusal.
    pub(super) fn refused(self, refused: &Refused) -> Outcome {
        let Self {
            action,
            what,
            target,
        } = self;
        let reason = match kind(&refused.code, refused.status) {
            Kind::Missing => format!(
                "the {what} `{target}` does not exist ({refused}); create it, or name another one"
            ),
            Kind::Denied => format!(
                "not allowed to call {action} on `{target}` ({refused}); allow it in the policy of this process's role and of the {what}"
            ),
            Kind::Key => format!(
                "the KMS key of the {what} `{target}` cannot be used ({refused}); allow kms:GenerateDataKey and kms:Decrypt on it"
            ),
            Kind::Throttled => format!("{action} on `{target}` is throttled ({refused})"),
            Kind::Other => format!("{action} on `{target}` failed: {refused}"),
        };
        Outcome::Failed {
            reason,
            retry_after: refused.retry_after,
        }
    }
}

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Denied,
    Key,
    Throttled,
    Other,
}

fn kind(code: &str, status: Option<u16>) -> Kind {
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    if has(&["KMS", "Kms"]) {
        Kind::Key
    } else if has(&["NonExistentQueue", "DoesNotExist", "NotFound"]) {
        Kind::Missing
    } else if has(&[
        "Throttl",
        "TooManyRequests",
        "RequestLimit",
        "SlowDown",
        "OverLimit",
    ]) || status == Some(429)
    {
        Kind::Throttled
    } else if has(&[
        "AccessDenied",
        "AuthorizationError",
        "NotAuthorized",
        "UnrecognizedClient",
    ]) || has(&["InvalidClientTokenId", "InvalidSecurity", "ExpiredToken"])
    {
        Kind::Denied
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn codes_of_every_service_name_their_remedy() {
        for (code, expected) in [
            ("AWS.SimpleQueueService.NonExistentQueue", "does not exist"),
            ("QueueDoesNotExist", "does not exist"),
            ("NotFound", "does not exist"),
            ("ResourceNotFoundException", "does not exist"),
            ("StateMachineDoesNotExist", "does not exist"),
            (
                "AccessDeniedException",
                "not allowed to call sqs:SendMessage",
            ),
            ("AuthorizationError", "policy of this process's role"),
            ("KMSAccessDeniedException", "allow kms:GenerateDataKey"),
            ("KmsAccessDenied", "allow kms:GenerateDataKey"),
            ("ThrottlingException", "is throttled"),
            ("TooManyRequestsException", "is throttled"),
            ("InternalError", "failed: InternalError: said"),
        ] {
            let call = Call {
                action: "sqs:SendMessage",
                what: "queue",
                target: "billing.fifo",
            };
            let outcome = call.refused(&Refused {
                code: code.to_owned(),
                message: "said".to_owned(),
                retry_after: Some(Duration::from_secs(3)),
                ..Refused::default()
            });
            let Outcome::Failed {
                reason,
                retry_after,
            } = outcome
            else {
                panic!("{code}: {outcome:?}");
            };
            assert!(reason.contains(expected), "{code}: {reason}");
            assert!(reason.contains("billing.fifo"), "{code}: {reason}");
            assert_eq!(retry_after, Some(Duration::from_secs(3)));
        }
    }
}
