//! `serve`: runs the server until it is told to stop.

use std::path::PathBuf;
use std::pin::pin;

use cloakroom_core::config::{Config, ListenAddr, Overrides};

use crate::exit::{Exit, Failure, Outcome};
use crate::logging::{self, LogFormat};
use crate::output::{self, BOLD, CYAN, paint};
use crate::wiring::{self, Server};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration.
    #[arg(long, short, env = "CLOAKROOM_CONFIG", default_value = wiring::CONFIG_FILE, value_name = "FILE")]
    config: PathBuf,
    /// The directory that holds everything stored, in place of `server.data_dir`.
    #[arg(long, env = "CLOAKROOM_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address to listen on, in place of `server.listen`.
    #[arg(long, env = "CLOAKROOM_LISTEN", value_name = "IP:PORT")]
    listen: Option<ListenAddr>,
    /// How log lines are written. CLOAKROOM_LOG or RUST_LOG say what is logged, e.g. `debug`.
    #[arg(
        long,
        env = "CLOAKROOM_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let overrides = Overrides {
        listen: args.listen,
        data_dir: args.data_dir,
    };
    let config = wiring::load(&args.config, &overrides)?;
    logging::start(args.log_format, "info");
    for warning in config.warnings() {
        output::warning(format_args!("{}: {warning}", args.config.display()));
    }
    // Listened for before anything is begun, so that none is missed.
    let mut signals = wiring::Signals::new();
    let listener = wiring::bind(config.server.listen.get()).await?;
    let server = Server::start(&config, listener, &wiring::resolve).await?;
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
