//! The configuration as users meet it: the documented example, the defaults, the mistakes.

mod defaults;
mod example;
mod explain;
mod mistakes;
mod never_panics;
mod warnings;

use super::Config;

/// Reads what must be right.
fn config(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|problems| panic!("{problems}\nin:\n{text}"))
}

/// The text of what is wrong.
fn mistakes(text: &str) -> String {
    Config::parse(text)
        .expect_err("the configuration is wrong")
        .to_string()
}
