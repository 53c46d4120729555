//! One binary for every Lambda function; `_HANDLER` says which it is.

use std::process::ExitCode;
use std::time::Duration;

use cloakroom_core::time::Timestamp;
use cloakroom_lambda::start::Function;
use cloakroom_lambda::{Environment, HandlerError, Role, Variable};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function cannot work");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), lambda_runtime::Error> {
    let environment = Environment::read(|name| std::env::var(name).ok())?;
    let function = Function::start(&environment).await?;
    let role: Role = environment.role;
    tracing::info!(%role, table = environment.get(Variable::Table), "started");
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let ends = Timestamp::default().after(Duration::from_millis(event.context.deadline));
        function
            .handle(event.payload, Some(ends))
            .await
            .map_err(|error| failed(&error))
    }))
    .await
}

/// A failed invocation, as Lambda shows it. The trigger tries again.
fn failed(error: &HandlerError) -> Diagnostic {
    tracing::error!(%error, "the invocation failed");
    let error_type = match error {
        HandlerError::Event { .. } => "Event",
        HandlerError::Store(_) => "Store",
        HandlerError::Upload(_) => "Upload",
    };
    Diagnostic {
        error_type: error_type.to_owned(),
        error_message: error.to_string(),
    }
}

/// One JSON object a line on standard output, where Lambda picks it up.
fn log() {
    let filter =
        EnvFilter::try_from_env(Variable::Log.name()).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_current_span(false)
        .with_span_list(false)
        .init();
}
