//! A Step Functions state machine.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use cloakroom_core::text::Mistake;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};

use super::failure::Call;
use super::place::{arn_of, in_region_of};
use super::{SendOne, TIMEOUT, each, envelope, names};
use crate::client::within;

/// The largest input of an execution, in bytes.
const INPUT_MAX: usize = 256 << 10;

/// Starts one execution per event, with the structured CloudEvent as its input. An event is delivered when its execution
/// was started; whether that succeeds is the state machine's own affair.
///
/// The execution's name is the event's id, with the cursor's epoch, so a standard state machine starts each event once
/// (names are remembered for 90 days). Executions are started in order, and run side by side.
#[derive(Debug)]
pub struct StepFunctions {
    client: Client,
    state_machine: String,
}

impl StepFunctions {
    /// The state machine with this ARN, which may name a version or an alias.
    ///
    /// # Errors
    /// When it is not one.
    pub fn new(sdk: &SdkConfig, state_machine: &str) -> Result<Self, Mistake> {
        let example = "arn:aws:states:eu-west-1:111122223333:stateMachine:billing";
        let found = arn_of(state_machine, "states", example)?;
        let sdk = within(&in_region_of(sdk, Some(&found)), TIMEOUT);
        Ok(Self {
            client: Client::new(&sdk),
            state_machine: state_machine.to_owned(),
        })
    }
}

impl SendOne for StepFunctions {
    async fn send_one(&self, outgoing: &Outgoing) -> Result<(), Outcome> {
        let input = envelope::text(outgoing, INPUT_MAX, "Step Functions")?;
        let started = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine)
            .name(names::execution(&outgoing.event.id, outgoing.epoch))
            .input(input)
            .send()
            .await;
        let Err(error) = started else {
            return Ok(());
        };
        // It was started before, perhaps with an older URL in its input.
        let is_started = error
            .as_service_error()
            .is_some_and(StartExecutionError::is_execution_already_exists);
        if is_started {
            return Ok(());
        }
        let call = Call {
            action: "states:StartExecution",
            what: "state machine",
            target: &self.state_machine,
        };
        Err(call.failed(&error))
    }
}

#[async_trait]
impl Sink for StepFunctions {
    async fn send(&self, events: &[Outgoing]) -> Outcome {
        each(self, events).await
    }

    fn kind(&self) -> &'static str {
        "step-functions"
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }
}
