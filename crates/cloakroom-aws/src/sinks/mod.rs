//! Sinks on AWS: each sends one event of a stream per call, as a structured CloudEvent.
//!
//! | sink | order | what makes a repeated call harmless |
//! | --- | --- | --- |
//! | [`SqsFifo`] | message group = stream | deduplication id = event id and epoch, for 5 minutes |
//! | [`Sns`] | on a FIFO topic: message group = stream; on a standard one: none | the same; nothing on a standard topic |
//! | [`EventBridge`] | none: the bus promises none | nothing |
//! | [`LambdaFunction`] | calls are made one after the other | nothing |
//! | [`StepFunctions`] | executions are started one after the other | execution name = event id and epoch, for 90 days |
//!
//! One event per call, because calls that take several fail for each of them on its own, and nothing after a failed event
//! of a stream may count as sent.
//!
//! An event that is larger than the target takes, or that it cannot hold, leaves without its payload: consumers fetch
//! that from its `dataref`. What was refused is told with the remedy, never with the payload.

mod envelope;
mod eventbridge;
mod failure;
mod lambda;
mod names;
mod place;
mod sns;
mod sqs;
mod step_functions;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use cloakroom_core::config;
use cloakroom_core::text::Mistake;
use cloakroom_engine::ports::{Outcome, Outgoing, Sink};

pub use eventbridge::EventBridge;
pub use lambda::LambdaFunction;
pub use sns::Sns;
pub use sqs::SqsFifo;
pub use step_functions::StepFunctions;

/// How long a call may take, with the tries that the SDK makes within it.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Makes the AWS sink that a configuration describes. `Ok(None)` for sinks that are not AWS's. Makes no request.
///
/// A target in another Region is sent to there, as its ARN says.
///
/// # Errors
/// When what names the target cannot be right; the mistake says what to write instead.
pub fn sink(sdk: &SdkConfig, sink: &config::Sink) -> Result<Option<Arc<dyn Sink>>, Mistake> {
    Ok(Some(match sink {
        config::Sink::SqsFifo(sqs) => Arc::new(SqsFifo::new(sdk, &sqs.queue)?),
        config::Sink::Eventbridge(bus) => Arc::new(EventBridge::new(sdk, &bus.bus)?),
        config::Sink::Sns(sns) => Arc::new(Sns::new(sdk, &sns.topic)?),
        config::Sink::Lambda(lambda) => Arc::new(LambdaFunction::new(sdk, &lambda.function)?),
        config::Sink::StepFunctions(machine) => {
            Arc::new(StepFunctions::new(sdk, &machine.state_machine)?)
        }
        config::Sink::Http(_)
        | config::Sink::File(_)
        | config::Sink::Stdout(_)
        | config::Sink::Pull(_) => return Ok(None),
    }))
}

/// Sends one event.
trait SendOne: Sync {
    /// `Err` says how the delivery ended instead.
    fn send_one(&self, outgoing: &Outgoing) -> impl Future<Output = Result<(), Outcome>> + Send;
}

/// Sends events in order, and stops at the first that is not taken.
async fn each(sink: &impl SendOne, events: &[Outgoing]) -> Outcome {
    for event in events {
        if let Err(outcome) = sink.send_one(event).await {
            return outcome;
        }
    }
    Outcome::Delivered
}
