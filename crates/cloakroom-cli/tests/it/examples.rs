//! Every configuration that the documentation shows is one that works.

use std::path::Path;

use cloakroom_core::config::Config;

const PAGES: &[&str] = &["README.md", "docs/configuration.md"];

#[test]
fn every_configuration_in_the_documentation_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).expect("the page is there");
        let examples: Vec<&str> = text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!examples.is_empty(), "{page} shows no configuration");
        for example in examples {
            if let Err(diagnostics) = Config::parse(example) {
                panic!("{page} shows a configuration with mistakes:\n{diagnostics}\n{example}");
            }
        }
    }
}
