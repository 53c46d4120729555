//! `cloakroom.yaml`: read, judged and explained without a panic; what is valid says the same when it is written out.

use cloakroom_core::config::Config;

/// The target. Input: the file, or `explain ` and the path of a key.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(path) = text.strip_prefix("explain ") {
        drop(Config::explain(path));
        return;
    }
    match Config::parse(text) {
        Ok(config) => {
            for warning in config.warnings() {
                assert!(!warning.to_string().is_empty());
            }
            again(&config);
        }
        Err(problems) => {
            assert!(problems.iter().next().is_some(), "refused without a reason");
            let lines =
                u64::try_from(text.split(['\n', '\r']).count()).expect("a file has fewer lines");
            for problem in &problems {
                assert!(problem.line <= lines + 1, "{problem} is beyond the file");
                assert!(!problem.message.is_empty());
            }
        }
    }
}

fn again(config: &Config) {
    let written = serde_json::to_string(config).expect("a configuration is plain data");
    let read = Config::parse(&written).unwrap_or_else(|problems| panic!("{written}\n{problems}"));
    let rewritten = serde_json::to_string(&read).expect("a configuration is plain data");
    assert_eq!(written, rewritten);
}
