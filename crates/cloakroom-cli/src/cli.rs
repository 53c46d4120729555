//! The command tree.

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::{
    config, cost, dead_letters, demo, doctor, events, listen, parked, quarantine, replay, send,
    serve, streams, subscriptions,
};
use crate::exit::{Exit, Failure, Outcome};

/// Take webhooks of any size in; hand each event out once, in the provider's order.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, max_term_width = 100, after_help = Exit::table(), propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// When to use colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true
    )]
    pub(crate) color: Color,
    #[command(subcommand)]
    command: Command,
}

/// When to use colour: `auto`, `always` or `never`. `auto` minds `NO_COLOR` and whether anybody watches.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn write_global(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Show everything at work: a provider, the server and a consumer, checked at the end.
    Demo(demo::Args),
    /// Sign and send test webhooks.
    Send(Box<send::Args>),
    /// Receive deliveries, verify them and print them.
    Listen(listen::Args),
    /// Look at events.
    #[command(subcommand)]
    Events(events::Command),
    /// Look at streams, and pass gaps over.
    #[command(subcommand)]
    Streams(streams::Command),
    /// Streams that a subscription stopped at.
    #[command(subcommand)]
    Parked(parked::Command),
    /// Verified webhooks that could not be placed.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Events that a subscription gave up on.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Send the events of a subscription again, in order.
    Replay(replay::Args),
    /// Look at subscriptions, and switch them on again.
    #[command(subcommand)]
    Subscriptions(subscriptions::Command),
    /// Check and explain the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Examine a data directory that no server uses.
    Doctor(doctor::Args),
    /// Estimate what a month on AWS costs.
    Cost(Box<cost::Args>),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Does what the command line says.
pub(crate) fn execute(cli: Cli) -> Outcome {
    let json = cli.json;
    match cli.command {
        Command::Config(command) => config::run(&command, json),
        Command::Doctor(args) => doctor::run(&args, json),
        Command::Cost(args) => cost::run(&args, json),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "cloakroom",
                &mut std::io::stdout(),
            );
            Ok(Exit::Ok)
        }
        command => runtime()?.block_on(execute_async(command, json)),
    }
}

async fn execute_async(command: Command, json: bool) -> Outcome {
    match command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Demo(args) => Box::pin(demo::run(args, json)).await,
        Command::Send(args) => Box::pin(send::run(*args, json)).await,
        Command::Listen(args) => Box::pin(listen::run(args, json)).await,
        Command::Events(command) => events::run(command, json).await,
        Command::Streams(command) => streams::run(command, json).await,
        Command::Parked(command) => parked::run(command, json).await,
        Command::Quarantine(command) => quarantine::run(command, json).await,
        Command::DeadLetters(command) => dead_letters::run(command, json).await,
        Command::Replay(args) => replay::run(args, json).await,
        Command::Subscriptions(command) => subscriptions::run(command, json).await,
        Command::Config(_)
        | Command::Doctor(_)
        | Command::Cost(_)
        | Command::Completions { .. } => unreachable!("these run without a runtime"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start the runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
