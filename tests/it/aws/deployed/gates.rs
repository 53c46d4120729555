//! A gatekeeper for each role, with the policies that were applied.

use std::collections::BTreeMap;

use cloakroom_emulators::{Gatekeeper, MiniStack, Policy};
use serde_json::json;

use super::terraform::{Rendered, Resource};

/// The handlers of the functions.
pub(crate) const HANDLERS: [&str; 6] = [
    "ingest",
    "resequence",
    "dispatch",
    "deliver",
    "sweep",
    "upload",
];
/// The pipes, by their names in `pipes/`.
pub(crate) const PIPES: [&str; 2] = ["resequence", "dispatch"];

/// The gates: of functions by their handlers, of pipes by `pipe NAME`, of the schedules as `scheduler`.
pub(crate) struct Gates(BTreeMap<String, Gatekeeper>);

impl Gates {
    /// Closed, until [`Self::enforce`].
    pub(crate) fn start(ministack: &MiniStack) -> Self {
        let start = |name: String| {
            let gate = Gatekeeper::start(ministack.port());
            (name, gate.unwrap_or_else(|error| panic!("{error}")))
        };
        let pipes = PIPES.map(|name| format!("pipe {name}"));
        let handlers = HANDLERS.map(str::to_owned);
        let names = handlers.into_iter().chain(pipes);
        Self(names.chain(["scheduler".to_owned()]).map(start).collect())
    }

    /// The gate of this name.
    pub(crate) fn of(&self, name: &str) -> &Gatekeeper {
        &self.0[name]
    }

    /// All gates, with their names.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Gatekeeper)> {
        self.0.iter().map(|(name, gate)| (name.as_str(), gate))
    }

    /// Where each function finds AWS, as `tests/terraform/terraform` takes it.
    pub(crate) fn endpoints(&self) -> String {
        let endpoints = HANDLERS.map(|handler| (handler, self.of(handler).endpoint()));
        json!(BTreeMap::from(endpoints)).to_string()
    }

    /// From now on each role may do what its policies say.
    pub(crate) fn enforce(&self, rendered: &Rendered) {
        for handler in HANDLERS {
            let role = rendered.function(handler).text("role");
            self.of(handler).enforce(role, policy_of(rendered, role));
        }
        for pipe in PIPES {
            let role = pipe_of(rendered, pipe).text("role_arn");
            let gate = self.of(&format!("pipe {pipe}"));
            gate.enforce(role, policy_of(rendered, role));
        }
        let role = scheduler_role(rendered);
        self.of("scheduler")
            .enforce(&role, policy_of(rendered, &role));
    }

    /// That nothing was refused.
    pub(crate) fn assert_nothing_was_denied(&self) {
        let denied = self.all().flat_map(|(name, gate)| {
            let denied = gate.denied().into_iter();
            denied.map(move |one| format!("{name}: {one}"))
        });
        let denied: Vec<String> = denied.collect();
        assert!(
            denied.is_empty(),
            "refused by the policies:\n{}",
            denied.join("\n")
        );
    }
}

/// The pipe that a file in `pipes/` defines.
pub(crate) fn pipe_of<'a>(rendered: &'a Rendered, name: &str) -> &'a Resource {
    let end = format!("-{name}");
    let found = rendered.all("aws_pipes_pipe");
    let mut found = found.filter(|pipe| pipe.text("name").ends_with(&end));
    found
        .next()
        .unwrap_or_else(|| panic!("no pipe is named {name}"))
}

/// The role that the schedules use, which is one.
pub(crate) fn scheduler_role(rendered: &Rendered) -> String {
    let schedules = rendered.all("aws_scheduler_schedule");
    let mut roles: Vec<&str> = schedules
        .map(|schedule| {
            let role = &schedule.values["target"][0]["role_arn"];
            role.as_str().expect("a schedule has a role")
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    assert_eq!(roles.len(), 1, "{roles:?}");
    roles[0].to_owned()
}

/// What a role may do: its own policies, and what those of buckets deny.
pub(crate) fn policy_of(rendered: &Rendered, role_arn: &str) -> Policy {
    let role = rendered.find("aws_iam_role", "arn", role_arn);
    let name = role
        .unwrap_or_else(|| panic!("no role is {role_arn}"))
        .text("name");
    let attached: Vec<&Resource> = rendered.all("aws_iam_role_policy_attachment").collect();
    assert!(
        attached.is_empty(),
        "only policies of the role itself are read here: {attached:?}"
    );
    let mut policy = Policy::none();
    for document in rendered.all("aws_iam_role_policy") {
        if document.text("role") == name {
            policy = policy
                .and(&document.address, document.text("policy"))
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
    for document in rendered.all("aws_s3_bucket_policy") {
        policy = policy
            .guarded_by(&document.address, document.text("policy"))
            .unwrap_or_else(|error| panic!("{error}"));
    }
    policy
}
