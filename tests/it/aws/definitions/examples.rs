//! The examples, rendered and checked.

use std::sync::OnceLock;

use cloakroom_core::config::Config;

use super::super::deployed::terraform::{Example, root};
use super::{Deployed, findings};

/// An example as it would be deployed, and its configuration.
pub(super) fn deployed(name: &str) -> Deployed {
    let mut example = Example::copy(name, vec![("RENDER".to_owned(), "1".to_owned())]);
    // It only has to be there.
    let package = root().join("Cargo.toml");
    let zip = tempfile::Builder::new().suffix(".zip").tempfile().unwrap();
    std::fs::copy(package, zip.path()).unwrap();
    example.set("function_package", &zip.path().display().to_string());
    let settings = "terraform.tfvars.example";
    if example.has(settings) {
        example.write("terraform.tfvars", &example.read(settings));
    }
    let rendered = example.apply();
    let config_text = example.read("cloakroom.yaml");
    let config = Config::parse(&config_text);
    let config = config.unwrap_or_else(|error| panic!("{name}/cloakroom.yaml: {error}"));
    Deployed {
        rendered,
        config_text,
        config,
    }
}

/// The one with everything in it, rendered once.
pub(super) fn complete() -> &'static Deployed {
    static COMPLETE: OnceLock<Deployed> = OnceLock::new();
    COMPLETE.get_or_init(|| deployed("complete"))
}

fn check(deployed: &Deployed) {
    let findings = findings(deployed);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn the_minimal_example_is_what_the_code_needs() {
    check(&deployed("minimal"));
}

#[test]
fn the_example_of_orders_is_what_the_code_needs() {
    check(&deployed("orders"));
}

#[test]
fn the_complete_example_is_what_the_code_needs_and_every_break_is_found() {
    check(complete());
    super::broken::every_break_is_found(complete());
}
