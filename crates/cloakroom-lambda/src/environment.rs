//! What a function is told.

use std::collections::BTreeMap;

use crate::role::{Need, Role, Variable};

/// Where the configuration is unless something else is said: in a layer.
const CONFIG: &str = "/opt/cloakroom.yaml";

/// The environment of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// What the function does.
    pub role: Role,
    values: BTreeMap<Variable, String>,
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
    #[error("{} is not set: set it to {}", .0.name(), .0.what())]
    Missing(Variable),
}

impl Environment {
    /// Reads `_HANDLER`, and then the [variables of that role](Role::variables). `get` looks a variable up.
    ///
    /// # Errors
    /// Names the variable and what to set it to.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let get = |variable: &str| get(variable).filter(|value| !value.is_empty());
        let handler = get("_HANDLER").unwrap_or_default();
        let role: Role = handler
            .parse()
            .map_err(|()| EnvironmentError::Role { found: handler })?;
        let mut values = BTreeMap::new();
        for (variable, need) in role.variables() {
            match (get(variable.name()), need) {
                (Some(value), _) => drop(values.insert(variable, value)),
                (None, Need::Must) => return Err(EnvironmentError::Missing(variable)),
                (None, Need::May) => {}
            }
        }
        // Where queues may be left out, that means both.
        let queues = [Variable::Doorbells, Variable::Timers];
        let missing = queues.into_iter().find(|queue| !values.contains_key(queue));
        let is_half = queues.iter().any(|queue| values.contains_key(queue));
        if let Some(missing) = missing
            && is_half
            && role.variables().contains(&(missing, Need::May))
        {
            return Err(EnvironmentError::Missing(missing));
        }
        Ok(Self { role, values })
    }

    /// The value of a variable; `None` when it is not set, or none of this role's.
    pub fn get(&self, variable: Variable) -> Option<&str> {
        self.values.get(&variable).map(String::as_str)
    }

    /// Where the configuration is: a file, or `s3://bucket/key`.
    pub fn config(&self) -> &str {
        self.get(Variable::Config).unwrap_or(CONFIG)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, String> {
        let get = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        Environment::read(get).map_err(|error| error.to_string())
    }

    const TABLE: (&str, &str) = ("CLOAKROOM_TABLE", "t");
    const BUCKET: (&str, &str) = ("CLOAKROOM_BUCKET", "b");
    const DOORBELLS: (&str, &str) = ("CLOAKROOM_DOORBELLS", "https://doorbells");

    #[test]
    fn a_role_asks_for_its_variables_only() {
        for role in Role::ALL {
            let asked = RefCell::new(Vec::new());
            let read = Environment::read(|name| {
                asked.borrow_mut().push(name.to_owned());
                let value = if name == "_HANDLER" {
                    role.name()
                } else {
                    name
                };
                Some(value.to_owned())
            });
            let read = read.unwrap();
            let all = role.variables().into_iter().map(|(v, _)| v.name());
            let expected: Vec<_> = std::iter::once("_HANDLER").chain(all).collect();
            assert_eq!(*asked.borrow(), expected);
            assert_eq!(read.get(Variable::Table).is_some(), role.opens_ledger());
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_belongs_there() {
        let error = read(&[("_HANDLER", "bootstrap")]).unwrap_err();
        assert!(
            error.contains("\"bootstrap\"") && error.contains("`ingest`"),
            "{error}"
        );
        let error = read(&[("_HANDLER", "ingest")]).unwrap_err();
        assert_eq!(
            error,
            "CLOAKROOM_TABLE is not set: set it to the name of the DynamoDB table of the ledger"
        );
        let empty = ("CLOAKROOM_BUCKET", "");
        let error = read(&[("_HANDLER", "ingest"), TABLE, empty]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_BUCKET"), "{error}");
        let error = read(&[("_HANDLER", "deliver"), TABLE, BUCKET]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_DOORBELLS"), "{error}");
        let error = read(&[("_HANDLER", "ingest"), TABLE, BUCKET, DOORBELLS]).unwrap_err();
        assert!(error.starts_with("CLOAKROOM_TIMERS"), "{error}");
    }

    #[test]
    fn what_a_role_can_do_without_may_be_left_out() {
        let ingest = read(&[("_HANDLER", "ingest"), TABLE, BUCKET]).unwrap();
        assert_eq!(ingest.get(Variable::Doorbells), None);
        assert_eq!(ingest.config(), "/opt/cloakroom.yaml");
        let upload = read(&[("_HANDLER", "upload"), TABLE, BUCKET, DOORBELLS]).unwrap();
        assert_eq!(upload.get(Variable::Doorbells), None, "it rings nobody");
        let dispatch = read(&[("_HANDLER", "dispatch"), DOORBELLS]).unwrap();
        assert_eq!(dispatch.get(Variable::Doorbells), Some("https://doorbells"));
    }
}
