//! Whether what Terraform deploys is what the code needs: variables, timeouts, queues, pipes, table, permissions. No emulator is
//! needed: the examples are rendered with made-up ARNs.
//!
//! | file | what |
//! | --- | --- |
//! | `examples.rs` | the examples, rendered and checked |
//! | `broken.rs` | what each check finds when something is wrong |
//! | `functions.rs` | checks of functions: handlers, variables, timeouts |
//! | `sources.rs` | checks of what the functions read from: queues, pipes, table |
//! | `permissions.rs` | checks of the policies against the calls in the code, and the secrets in the configuration |

mod broken;
mod examples;
mod functions;
mod permissions;
mod sources;

use cloakroom_core::config::Config;

use super::deployed::terraform::Rendered;

/// What is to be compared.
#[derive(Clone)]
struct Deployed {
    rendered: Rendered,
    /// The text of the configuration that was deployed.
    config_text: String,
    config: Config,
}

/// A check, by its name: what it finds wrong.
type Check = (&'static str, fn(&Deployed) -> Vec<String>);

/// All of them.
const CHECKS: [Check; 13] = [
    ("handlers", functions::handlers),
    ("variables", functions::variables),
    ("configuration", functions::configuration),
    ("timeouts", functions::timeouts),
    ("schedules", functions::schedules),
    ("mappings", sources::mappings),
    ("doorbells", sources::doorbells),
    ("pipes", sources::pipes),
    ("table", sources::table),
    ("uploads", sources::uploads),
    ("operations", permissions::operations),
    ("wildcards", permissions::wildcards),
    ("secrets", permissions::secrets),
];

/// Everything that is wrong, with the name of the check that found it.
fn findings(deployed: &Deployed) -> Vec<String> {
    let all = CHECKS.iter().flat_map(|(name, check)| {
        let found = check(deployed).into_iter();
        found.map(move |finding| format!("{name}: {finding}"))
    });
    all.collect()
}
