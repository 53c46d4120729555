//! `serve`: runs the server until it is told to stop.

use std::path::PathBuf;
use std::pin::pin;

use cloakroom_core::config::{Config, ListenAddr, Overrides};

use crate::exit::{Exit, Failure, Outcome};
use crate::logging::{self, LogFormat};
use crate::output::{self, BOLD, CYAN, paint};
use crate::wiring::{self, AwsOptions, Server};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration: a file, or with `--backend aws` also `s3://bucket/key`.
    #[arg(long, short, env = "CLOAKROOM_CONFIG", hide_env_values = true, default_value = wiring::CONFIG_FILE, value_name = "FILE")]
    config: PathBuf,
    /// The directory that holds everything stored, in place of `server.data_dir`.
    #[arg(
        long,
        env = "CLOAKROOM_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    data_dir: Option<PathBuf>,
    /// The address to listen on, in place of `server.listen`.
    #[arg(
        long,
        env = "CLOAKROOM_LISTEN",
        hide_env_values = true,
        value_name = "IP:PORT"
    )]
    listen: Option<ListenAddr>,
    /// What holds everything stored: `embedded` (the data directory) or `aws` (a DynamoDB table and an S3 bucket; Region,
    /// credentials and endpoint come from the usual AWS environment and files).
    #[arg(
        long,
        env = "CLOAKROOM_BACKEND",
        hide_env_values = true,
        value_enum,
        hide_possible_values = true,
        default_value_t,
        value_name = "BACKEND"
    )]
    backend: Backend,
    /// How log lines are written: `text` or `json`. CLOAKROOM_LOG or RUST_LOG say what is logged, e.g. `debug`.
    #[arg(
        long,
        env = "CLOAKROOM_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        hide_possible_values = true,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    #[command(flatten)]
    aws: AwsArgs,
}

/// Where everything stored is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Backend {
    #[default]
    Embedded,
    Aws,
}

/// What `--backend aws` needs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of `--backend aws`")]
struct AwsArgs {
    /// The DynamoDB table of the ledger.
    #[arg(
        long,
        env = "CLOAKROOM_TABLE",
        hide_env_values = true,
        value_name = "NAME",
        required_if_eq("backend", "aws")
    )]
    table: Option<String>,
    /// The S3 bucket of the claims.
    #[arg(
        long,
        env = "CLOAKROOM_BUCKET",
        hide_env_values = true,
        value_name = "NAME",
        required_if_eq("backend", "aws")
    )]
    bucket: Option<String>,
    /// Execute the pipes on the table's stream and deliver, in place of the deployed functions. One server only.
    #[arg(long)]
    run_pipes: bool,
    /// Make the table and the bucket unless they are there. For trials: Terraform makes better ones.
    #[arg(long)]
    create: bool,
    /// The URL of the deployed doorbell queue: what operators ask of this server is passed on to it.
    #[arg(
        long,
        env = "CLOAKROOM_DOORBELLS",
        hide_env_values = true,
        value_name = "URL",
        requires = "timers",
        conflicts_with = "run_pipes"
    )]
    doorbells: Option<String>,
    /// The URL of the deployed timers queue.
    #[arg(
        long,
        env = "CLOAKROOM_TIMERS",
        hide_env_values = true,
        value_name = "URL",
        requires = "doorbells",
        conflicts_with = "run_pipes"
    )]
    timers: Option<String>,
}

impl AwsArgs {
    fn options(self) -> AwsOptions {
        let needed = "the command line has it when the backend is `aws`";
        AwsOptions {
            table: self.table.expect(needed),
            bucket: self.bucket.expect(needed),
            create: self.create,
            run_pipes: self.run_pipes,
            queues: self.doorbells.zip(self.timers),
        }
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    let overrides = Overrides {
        listen: args.listen,
        data_dir: args.data_dir,
    };
    let config = match args.backend {
        Backend::Embedded => wiring::load(&args.config, &overrides)?,
        Backend::Aws => wiring::load_on_aws(&args.config, &overrides).await?,
    };
    logging::start(args.log_format, "info");
    for warning in config.warnings() {
        let found = wiring::problem(&args.config, &warning);
        output::warning(found.message);
        if let Some(hint) = found.hint {
            output::note(format_args!("  {}: {hint}", paint(CYAN, "hint")));
        }
    }
    // Listened for before anything is begun, so that none is missed.
    let mut signals = wiring::Signals::new();
    let listener = wiring::bind(config.server.listen.get()).await?;
    let server = match args.backend {
        Backend::Embedded => Server::start(&config, listener, &wiring::resolve).await?,
        Backend::Aws => Server::start_on_aws(&config, listener, &args.aws.options()).await?,
    };
    announce(&config, &server);
    serve(server, &mut signals).await
}

/// Serves until the first signal, then drains until all is done or a second one comes.
async fn serve(server: Server, signals: &mut wiring::Signals) -> Outcome {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut running = pin!(server.run(async {
        let _ = told.await;
    }));
    tokio::select! {
        ended = &mut running => return ended.map(|()| Exit::Ok).map_err(Failure::from),
        () = signals.next() => {}
    }
    tracing::info!("stopping: what is under way is finished first; a second signal stops at once");
    let _ = tell.send(());
    tokio::select! {
        ended = running => {
            ended?;
            tracing::info!("stopped");
            Ok(Exit::Ok)
        }
        () = signals.next() => {
            tracing::warn!("stopped before everything was finished; nothing that was acknowledged is lost");
            Ok(Exit::Aborted)
        }
    }
}

/// Tells the person at the terminal where to send what.
fn announce(config: &Config, server: &Server) {
    let address = paint(CYAN, format_args!("http://{}", server.address()));
    output::note(format_args!(
        "{} listens on {address}",
        paint(BOLD, "cloakroom")
    ));
    let base = match &config.server.public_url {
        Some(_) => config.server.public_url(),
        None => format!("http://{}", server.address()),
    };
    for (name, source) in &config.sources {
        output::note(format_args!(
            "  {} {base}/in/{name} ({})",
            paint(BOLD, "POST"),
            source.scheme()
        ));
    }
    if config.sources.is_empty() {
        output::warning(
            "no sources are configured, so nothing can be taken in; add `sources: { demo: {} }`",
        );
    }
}
