//! Conditional writes.
//!
//! One write is a plain conditional request: a transaction would cost twice as much. Several are one transaction. Either
//! way DynamoDB shows the item that stood in the way, so a conflict needs no second read.
//!
//! `Admit` is a transaction even when it is alone: it adds, and only a transaction has a token by which DynamoDB knows a
//! request that is sent again because its answer was lost. All other writes are conditioned on what they change, so that
//! their second try meets what the first one wrote.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};
use cloakroom_core::id::StreamId;
use cloakroom_engine::ports::{Conflict, LedgerError, TRANSACTION_MAX, TransactError, Write};
use cloakroom_engine::record::{Key, Record};

use super::DynamoLedger;
use super::condition::{ALL_OLD, Condition};
use super::error::{Fault, fault_of};
use super::item::{self, Item};
use super::key;
use super::together::Together;

/// How often a write that met another transaction is tried.
pub(crate) const TRIES: u32 = 10;

/// What is sent.
enum Request {
    Put(Item, Condition),
    Delete(Item, Condition),
    Transaction(Vec<TransactWriteItem>, String),
}

/// Why one try did not succeed.
enum Refused {
    /// This write's condition did not hold; what is stored under its key.
    Conflict(usize, Option<Item>),
    Fault(Fault),
}

impl DynamoLedger {
    pub(crate) async fn write_all(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        debug_assert!(
            writes.len() <= TRANSACTION_MAX,
            "a transaction holds at most {TRANSACTION_MAX} writes"
        );
        match <[Write; 1]>::try_from(writes) {
            Ok([Write::Create(record)]) => {
                let put = Request::Put(item::encode(record), Condition::absent());
                self.persistently(&put).await
            }
            Ok([Write::Replace { record, revision }]) => {
                let put = Request::Put(item::encode(record), Condition::revision(revision));
                self.persistently(&put).await
            }
            Ok([Write::Delete { key, revision }]) => {
                let condition = revision.map_or_else(Condition::default, Condition::revision);
                let key = item::key_item(&key::encode(&key));
                self.persistently(&Request::Delete(key, condition)).await
            }
            Ok([Write::BaseAllows { stream, number }]) => self.base_allows(stream, number).await,
            Ok(writes @ [Write::Admit { .. }]) => self.transaction(writes.to_vec()).await,
            Err(writes) if writes.is_empty() => Ok(()),
            Err(writes) => self.transaction(writes).await,
        }
    }

    /// Alone it changes nothing, so it is only looked at.
    async fn base_allows(&self, stream: StreamId, number: u64) -> Result<(), TransactError> {
        let stored = self.get_record(&Key::Head(stream)).await?;
        let allowed = match &stored {
            Some(Record::Head(head)) => head.head.base.number().is_none_or(|base| base <= number),
            _ => false,
        };
        if allowed {
            return Ok(());
        }
        Err(TransactError::Conflict(Box::new(Conflict {
            write: 0,
            stored,
        })))
    }

    async fn transaction(&self, writes: Vec<Write>) -> Result<(), TransactError> {
        let together = Together::of(&writes);
        let items = writes
            .into_iter()
            .map(|write| self.item_of(write, &together))
            .collect();
        // The same for every try of the same transaction: DynamoDB remembers it for ten minutes, and answers a second try of
        // what happened with success.
        let token = format!("{:016x}{:016x}", self.entropy.next(), self.entropy.next());
        self.persistently(&Request::Transaction(items, token)).await
    }

    async fn attempt(&self, request: &Request) -> Result<(), Refused> {
        match request {
            Request::Put(item, condition) => self.put(item, condition).await,
            Request::Delete(key, condition) => self.delete(key, condition).await,
            Request::Transaction(items, token) => self.send_transaction(items, token).await,
        }
    }

    async fn put(&self, item: &Item, condition: &Condition) -> Result<(), Refused> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ALL_OLD)
            .send()
            .await;
        sent.map(drop).map_err(|error| match error {
            SdkError::ServiceError(error) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(failed) => {
                    Refused::Conflict(0, failed.item)
                }
                error => Refused::Fault(self.service_fault("PutItem", &error)),
            },
            error => Refused::Fault(self.fault("PutItem", &error)),
        })
    }

    async fn delete(&self, key: &Item, condition: &Condition) -> Result<(), Refused> {
        let sent = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.clone()))
            .set_condition_expression(condition.expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ALL_OLD)
            .send()
            .await;
        sent.map(drop).map_err(|error| match error {
            SdkError::ServiceError(error) => match error.into_err() {
                DeleteItemError::ConditionalCheckFailedException(failed) => {
                    Refused::Conflict(0, failed.item)
                }
                error => Refused::Fault(self.service_fault("DeleteItem", &error)),
            },
            error => Refused::Fault(self.fault("DeleteItem", &error)),
        })
    }

    async fn send_transaction(
        &self,
        items: &[TransactWriteItem],
        token: &str,
    ) -> Result<(), Refused> {
        let action = "TransactWriteItems";
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items.to_vec()))
            .client_request_token(token)
            .send()
            .await;
        sent.map(drop).map_err(|error| match error {
            SdkError::ServiceError(error) => match error.into_err() {
                TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                    self.cancelled(cancelled.cancellation_reasons.unwrap_or_default())
                }
                error => Refused::Fault(self.service_fault(action, &error)),
            },
            error => Refused::Fault(self.fault(action, &error)),
        })
    }

    /// The first reason decides. Where it is another transaction, what comes behind it does not count yet: with the other
    /// one out of the way, this write's own condition may turn out to be the first that fails.
    fn cancelled(&self, reasons: Vec<CancellationReason>) -> Refused {
        let first = reasons
            .into_iter()
            .enumerate()
            .find(|(_, reason)| !matches!(reason.code(), None | Some("None")));
        let Some((write, reason)) = first else {
            return Refused::Fault(Fault::Contended(format!(
                "TransactWriteItems on DynamoDB table {:?} was cancelled without a reason",
                self.table
            )));
        };
        match reason.code() {
            Some("ConditionalCheckFailed") => {
                Refused::Conflict(write, reason.item.filter(|item| !item.is_empty()))
            }
            code => Refused::Fault(fault_of(
                "TransactWriteItems",
                &self.table,
                &self.region,
                code.unwrap_or_default(),
                reason.message().unwrap_or("no message"),
            )),
        }
    }

    /// Tries until it is settled, or until others were in the way too often.
    async fn persistently(&self, request: &Request) -> Result<(), TransactError> {
        let mut tries = 0;
        loop {
            let fault = match self.attempt(request).await {
                Ok(()) => return Ok(()),
                Err(Refused::Conflict(write, stored)) => {
                    let stored = match stored {
                        Some(item) => Some(self.seen_whole(item).await?),
                        None => None,
                    };
                    return Err(TransactError::Conflict(Box::new(Conflict {
                        write,
                        stored,
                    })));
                }
                Err(Refused::Fault(fault)) => fault,
            };
            tries += 1;
            match fault {
                Fault::Contended(reason) if tries < TRIES => {
                    tracing::debug!(reason, tries, "a write is tried again");
                    self.back_off(tries).await;
                }
                fault => return Err(LedgerError::from(fault).into()),
            }
        }
    }

    fn service_fault(
        &self,
        action: &str,
        error: &impl aws_sdk_dynamodb::error::ProvideErrorMetadata,
    ) -> Fault {
        let code = error.code().unwrap_or("an unknown error");
        let message = error.message().unwrap_or("no message");
        fault_of(action, &self.table, &self.region, code, message)
    }
}
