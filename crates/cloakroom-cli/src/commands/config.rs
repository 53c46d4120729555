//! `config`: check, explain, and print the schema of `cloakroom.yaml`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use cloakroom_core::config::{Config, Diagnostic};
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, CYAN, GREEN, RED, YELLOW, paint};
use crate::wiring::{self, ConfigError};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration file: every mistake with its line and remedy, and what may not be meant.
    Check {
        /// The file.
        #[arg(default_value = wiring::CONFIG_FILE)]
        file: PathBuf,
    },
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Say what a key means, e.g. `sources.*.order.gap`.
    Explain {
        /// The key; the whole file without it.
        #[arg(default_value = "", hide_default_value = true)]
        path: String,
    },
}

pub(crate) fn run(command: &Command, json: bool) -> Outcome {
    match command {
        Command::Check { file } => check(file, json),
        Command::Schema => {
            output::line(format_args!("{:#}", Config::schema()))?;
            Ok(Exit::Ok)
        }
        Command::Explain { path } => explain(path, json),
    }
}

fn check(file: &Path, json: bool) -> Outcome {
    let text = wiring::read_config(file)?;
    let (errors, warnings) = match Config::parse(&text) {
        Ok(config) => (Vec::new(), config.warnings()),
        Err(errors) => (errors.into_vec(), Vec::new()),
    };
    if json {
        output::json(&json!({ "file": file, "errors": errors, "warnings": warnings }))?;
    } else {
        for (kind, style, list) in [("error", RED, &errors), ("warning", YELLOW, &warnings)] {
            for found in list {
                output::line(shown(file, found, &paint(style.bold(), kind)))?;
            }
        }
        output::line(verdict(file, errors.len(), warnings.len()))?;
    }
    Ok(if errors.is_empty() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

fn shown(file: &Path, found: &Diagnostic, kind: &str) -> String {
    let problem = wiring::problem(file, found);
    let hint = problem
        .hint
        .map(|hint| format!("\n  {}: {hint}", paint(CYAN, "hint")));
    format!("{kind}: {}{}", problem.message, hint.unwrap_or_default())
}

fn verdict(file: &Path, errors: usize, warnings: usize) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let file = file.display();
    match (errors, warnings) {
        (0, 0) => format!("{file}: {}", paint(GREEN, "all is well")),
        (0, n) => format!("{file}: {}, {}", paint(GREEN, "valid"), count(n, "warning")),
        (n, _) => format!("{file}: {}", paint(RED, count(n, "mistake"))),
    }
}

fn explain(path: &str, json: bool) -> Outcome {
    let Some(explanation) = Config::explain(path) else {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let hint = match parent {
            "" => "see all keys with `cloakroom config explain`".to_owned(),
            parent => format!("see its neighbours with `cloakroom config explain {parent}`"),
        };
        let message = format!("the configuration has no key `{path}`");
        return Err(Failure::new(Exit::Failure, message).hint(hint));
    };
    if json {
        output::json(&explanation)?;
    } else {
        output::line(explanation.to_string().trim_end())?;
    }
    Ok(Exit::Ok)
}

/// What is wrong with the configuration that a server was to start from.
impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            exit: Exit::Config,
            problems: error.problems(),
        }
    }
}
