//! What a function is, and what it works with.
//!
//! The tables in this file are the one truth about that: the environment is read by them, secrets are read by them, and
//! whoever deploys the functions compares what they are given with them.

use std::fmt;
use std::str::FromStr;

use cloakroom_core::config::Config;
use cloakroom_core::secret::SecretRef;

/// What a function does: its handler, as Lambda names it in `_HANDLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes webhooks in.
    Ingest,
    /// Moves heads.
    Resequence,
    /// Rings subscriptions.
    Dispatch,
    /// Moves cursors.
    Deliver,
    /// Finds what is due and what nobody rang for.
    Sweep,
    /// Takes in what providers put into the bucket.
    Upload,
}

/// A variable of the environment that functions read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// Where the configuration is.
    Config,
    /// What is logged.
    Log,
    /// The ledger's table.
    Table,
    /// The bucket of the claims.
    Bucket,
    /// The queue of what is to be delivered now.
    Doorbells,
    /// The queue of what is to be looked at later.
    Timers,
}

/// Whether a variable has to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The function does not start without it.
    Must,
    /// There is something to do without it.
    May,
}

impl Variable {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "CLOAKROOM_CONFIG",
            Self::Log => "CLOAKROOM_LOG",
            Self::Table => "CLOAKROOM_TABLE",
            Self::Bucket => "CLOAKROOM_BUCKET",
            Self::Doorbells => "CLOAKROOM_DOORBELLS",
            Self::Timers => "CLOAKROOM_TIMERS",
        }
    }

    /// What is to be in it.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Config => "where the configuration is: a file, or `s3://bucket/key`",
            Self::Log => "what is logged, e.g. `info`",
            Self::Table => "the name of the DynamoDB table of the ledger",
            Self::Bucket => "the name of the S3 bucket of the claims",
            Self::Doorbells => "the URL of the FIFO queue of doorbells",
            Self::Timers => "the URL of the standard queue of timers",
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Ingest,
        Self::Resequence,
        Self::Dispatch,
        Self::Deliver,
        Self::Sweep,
        Self::Upload,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Resequence => "resequence",
            Self::Dispatch => "dispatch",
            Self::Deliver => "deliver",
            Self::Sweep => "sweep",
            Self::Upload => "upload",
        }
    }

    /// The variables that it reads, and no others.
    pub fn variables(self) -> Vec<(Variable, Need)> {
        use Need::{May, Must};
        let mut all = vec![(Variable::Config, May), (Variable::Log, May)];
        if self.opens_ledger() {
            all.extend([(Variable::Table, Must), (Variable::Bucket, Must)]);
        }
        all.extend(match self {
            // For what operators ask for over the API: without queues it waits for the sweep.
            Self::Ingest => vec![(Variable::Doorbells, May), (Variable::Timers, May)],
            // Its heads are told of by a pipe; only deadlines are left.
            Self::Resequence => vec![(Variable::Timers, Must)],
            Self::Dispatch => vec![(Variable::Doorbells, Must)],
            Self::Deliver | Self::Sweep => {
                vec![(Variable::Doorbells, Must), (Variable::Timers, Must)]
            }
            Self::Upload => vec![],
        });
        all
    }

    /// Whether it works with the ledger. What does not tells from the configuration alone whom a head concerns.
    pub fn opens_ledger(self) -> bool {
        self != Self::Dispatch
    }

    /// Whether it checks the signatures of webhooks, with the secrets of sources.
    pub fn verifies(self) -> bool {
        matches!(self, Self::Ingest | Self::Upload)
    }

    /// Whether it answers operators, who show the admin token.
    pub fn answers(self) -> bool {
        self == Self::Ingest
    }

    /// Whether it sends events to the sinks, with their secrets.
    pub fn delivers(self) -> bool {
        self == Self::Deliver
    }

    /// The secrets of `config` that it reads, and no others.
    pub fn secrets(self, config: &Config) -> Vec<SecretRef> {
        let mut all = Vec::new();
        if self.verifies() {
            all.extend(config.source_secrets().cloned());
        }
        if self.answers() {
            all.extend(config.server.admin_token.clone());
        }
        if self.delivers() {
            all.extend(config.sink_secrets().cloned());
        }
        all
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_its_handler() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
            assert_eq!(role.to_string(), role.name());
        }
        assert_eq!("bootstrap".parse::<Role>(), Err(()));
    }

    #[test]
    fn a_role_reads_the_secrets_of_its_work_only() {
        let config = Config::parse(
            "
sources: { orders: { verify: { scheme: github, secrets: [env:PROVIDER, aws-secret:provider] } } }
subscriptions:
  billing: { sources: [orders], sink: { http: { url: 'https://a.example/', secret: env:SINK, headers: { X-A: env:HEADER } } } }
  queue: { sources: [orders], sink: { sqs-fifo: { queue: a.fifo } } }
server: { admin_token: env:ADMIN }
",
        )
        .unwrap();
        let read = |role: Role| {
            let all = role.secrets(&config);
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let of_sources = ["env:PROVIDER", "aws-secret:provider"];
        assert_eq!(read(Role::Upload), of_sources);
        assert_eq!(
            read(Role::Ingest),
            [of_sources.as_slice(), &["env:ADMIN"]].concat()
        );
        assert_eq!(read(Role::Deliver), ["env:SINK", "env:HEADER"]);
        for role in [Role::Resequence, Role::Dispatch, Role::Sweep] {
            assert_eq!(read(role), [""; 0], "{role}");
        }
    }
}
