//! What the server logs, and how: on standard error, never payloads or secrets.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Begins to log. `CLOAKROOM_LOG` or `RUST_LOG` say what, e.g. `debug` or `cloakroom_engine=debug`; `default` holds without.
pub(crate) fn start(format: LogFormat, default: &str) {
    let told = ["CLOAKROOM_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    let filter = EnvFilter::builder().parse_lossy(told.as_deref().unwrap_or(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(anstream::stderr)
        .with_ansi(anstream::stderr().current_choice() != anstream::ColorChoice::Never);
    // A test that runs several commands in one process finds a subscriber installed; that one will do.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
    };
}
