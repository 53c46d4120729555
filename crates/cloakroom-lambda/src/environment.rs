//! What a function is told: its role, and what it works with.

use std::fmt;
use std::str::FromStr;

/// Where the configuration is: in a layer.
const CONFIG: &str = "/opt/cloakroom.yaml";

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

impl Role {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Ingest, "ingest"),
        (Self::Resequence, "resequence"),
        (Self::Dispatch, "dispatch"),
        (Self::Deliver, "deliver"),
        (Self::Sweep, "sweep"),
        (Self::Upload, "upload"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(role, _)| *role == self);
        found.expect("every role is listed").1
    }

    /// Whether it sends deliveries to a queue, or what is due later.
    fn rings(self) -> bool {
        !matches!(self, Self::Ingest | Self::Upload)
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(role, _)| role).ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The environment of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What the function does.
    pub role: Role,
    /// The ledger's table.
    pub table: String,
    /// The bucket of the claims.
    pub bucket: String,
    /// Where the configuration is: a file, or `s3://bucket/key`.
    pub config: String,
    /// The URL of the doorbell queue, and that of the timers queue. Only `ingest` and `upload` may do without.
    pub queues: Option<(String, String)>,
}

/// What is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The role is unknown.
    #[error(
        "_HANDLER is {found:?}, which is no role: set the function's handler to `ingest`, `resequence`, `dispatch`, \
         `deliver`, `sweep` or `upload`"
    )]
    Role {
        /// What it is.
        found: String,
    },
    /// A variable is missing.
    #[error("{variable} is not set: set it to {what}")]
    Missing {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        what: &'static str,
    },
}

impl Environment {
    /// Reads the environment: `_HANDLER`, `CLOAKROOM_TABLE`, `CLOAKROOM_BUCKET`, `CLOAKROOM_CONFIG` (default
    /// `/opt/cloakroom.yaml`), `CLOAKROOM_DOORBELLS`, `CLOAKROOM_TIMERS`. `get` looks a variable up.
    ///
    /// # Errors
    /// Names the variable and what to set it to.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let get = |variable| get(variable).filter(|value| !value.is_empty());
        let needed =
            |variable, what| get(variable).ok_or(EnvironmentError::Missing { variable, what });
        let handler = get("_HANDLER").unwrap_or_default();
        let role: Role = handler
            .parse()
            .map_err(|()| EnvironmentError::Role { found: handler })?;
        let doorbells = needed(
            "CLOAKROOM_DOORBELLS",
            "the URL of the FIFO queue of doorbells",
        );
        let timers = needed(
            "CLOAKROOM_TIMERS",
            "the URL of the standard queue of timers",
        );
        let queues = match (doorbells, timers) {
            (Ok(doorbells), Ok(timers)) => Some((doorbells, timers)),
            (Err(_), Err(_)) if !role.rings() => None,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(Self {
            role,
            table: needed(
                "CLOAKROOM_TABLE",
                "the name of the DynamoDB table of the ledger",
            )?,
            bucket: needed(
                "CLOAKROOM_BUCKET",
                "the name of the S3 bucket of the claims",
            )?,
            config: get("CLOAKROOM_CONFIG").unwrap_or_else(|| CONFIG.to_owned()),
            queues,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let get = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        Environment::read(get).map_err(|error| error.to_string())
    }

    const STORES: [(&str, &str); 2] = [("CLOAKROOM_TABLE", "t"), ("CLOAKROOM_BUCKET", "b")];

    #[test]
    fn every_role_has_its_handler() {
        for (role, name) in Role::ALL {
            assert_eq!(name.parse(), Ok(role));
            assert_eq!(role.to_string(), name);
        }
        let error = read(&[("_HANDLER", "bootstrap")]).unwrap_err();
        assert!(
            error.contains("\"bootstrap\"") && error.contains("`ingest`"),
            "{error}"
        );
    }

    #[test]
    fn what_is_missing_is_named_with_what_belongs_there() {
        let error = read(&[("_HANDLER", "ingest")]).unwrap_err();
        assert_eq!(
            error,
            "CLOAKROOM_TABLE is not set: set it to the name of the DynamoDB table of the ledger"
        );
        let [table, bucket] = STORES;
        let empty = ("CLOAKROOM_BUCKET", "");
        let error = read(&[("_HANDLER", "ingest"), table, empty]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_BUCKET"), "{error}");
        let error = read(&[("_HANDLER", "deliver"), table, bucket]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_DOORBELLS"), "{error}");
        let half = ("CLOAKROOM_DOORBELLS", "https://queue");
        let error = read(&[("_HANDLER", "ingest"), table, bucket, half]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_TIMERS"), "{error}");
    }

    #[test]
    fn what_only_takes_webhooks_in_needs_no_queues() {
        let [table, bucket] = STORES;
        let ingest = read(&[("_HANDLER", "ingest"), table, bucket]).unwrap();
        assert_eq!(ingest.queues, None);
        assert_eq!(ingest.config, "/opt/cloakroom.yaml");
        let upload = read(&[("_HANDLER", "upload"), table, bucket]).unwrap();
        assert_eq!((upload.role, upload.queues), (Role::Upload, None));
    }
}
