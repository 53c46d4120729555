//! A target within this process.

use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{Target, TargetError};

/// A function of this process, with the shape of a Lambda handler: JSON in, JSON out. It runs in a task of its own, so that its panic
/// is one failed invocation, as that of a Lambda is.
pub struct Handler<F>(F);

impl<F, R> Handler<F>
where
    F: Fn(Value) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, String>> + Send + 'static,
{
    /// A handler. It gets the array of records; its error fails the whole batch.
    pub fn new(function: F) -> Self {
        Self(function)
    }
}

#[async_trait]
impl<F, R> Target for Handler<F>
where
    F: Fn(Value) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, String>> + Send + 'static,
{
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, TargetError> {
        let records = serde_json::from_slice(&payload).expect("the runner sends JSON");
        match AbortOnDropHandle::new(tokio::spawn((self.0)(records))).await {
            Ok(Ok(answer)) => Ok(answer.to_string().into()),
            Ok(Err(error)) => Err(TargetError::Failed(error)),
            Err(_) => Err(TargetError::Failed("the handler panicked".into())),
        }
    }
}
