use proptest::prelude::*;

use crate::config::Config;

/// Pieces that make text that is nearly a configuration.
const PIECES: [&str; 44] = [
    "claims",
    "sources",
    "subscriptions",
    "server",
    "verify",
    "scheme",
    "secrets",
    "order",
    "kind",
    "dense",
    "at",
    "sink",
    "http",
    "url",
    "filter",
    "demo",
    ": ",
    ":\n",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\"",
    "'",
    "#",
    "&a",
    "*a",
    "<<: *a",
    "!t",
    "|",
    ">",
    "\t",
    "1",
    "-1.5",
    "30s",
    "8KiB",
    "body:/a",
    "ż",
    "---\n",
];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(?s).{0,200}") {
        drop(Config::parse(&text).map(|config| config.warnings()));
    }

    #[test]
    fn nearly_right_text_never_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        drop(Config::parse(&pieces.concat()).map(|config| config.warnings()));
    }

    #[test]
    fn a_cut_or_changed_example_never_panics(at in 0..2_000_usize, len in 0..40_usize, put in ".{0,3}") {
        let example = include_str!("example.yaml");
        let floor = |at: usize| (0..=at.min(example.len())).rev().find(|at| example.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{put}{}", &example[..floor(at)], &example[floor(at + len)..]);
        if let Err(problems) = Config::parse(&text) {
            for problem in &problems {
                prop_assert!(problem.line > 0 && !problem.message.is_empty(), "{problem:?}");
            }
        }
    }

    #[test]
    fn what_reads_writes_and_reads_again(text in "[a-z]{1,9}|[0-9]{1,3} ?(ms|s|m|h|d|B|KB|KiB)|(body|header):[/a-z~0-9]{1,9}") {
        macro_rules! check {
            ($($type:ty),*) => {$(
                if let Ok(value) = text.parse::<$type>() {
                    prop_assert_eq!(value.to_string().parse::<$type>().unwrap(), value);
                }
            )*};
        }
        check!(crate::config::DurationText, crate::config::Bytes, crate::config::Rate, crate::config::Selector);
    }

    #[test]
    fn explaining_never_panics(path in "[a-z.*\\[\\]0]{0,30}") {
        drop(Config::explain(&path));
    }
}
