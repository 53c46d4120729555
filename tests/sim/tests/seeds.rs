//! Seeds of the simulation, each run twice. `CLOAKROOM_SIM_SEEDS=1000` runs so many of them in each of these tests.

use cloakroom_sim::run::run_twice;

/// How many tests share the seeds, so that a runner can spread them over processors.
const TESTS: u64 = 8;
/// How many seeds each has.
const SEEDS: u64 = 250;

fn run(part: u64) {
    let many = match std::env::var("CLOAKROOM_SIM_SEEDS") {
        Ok(text) => text.parse().expect("CLOAKROOM_SIM_SEEDS is a number"),
        Err(_) => SEEDS,
    };
    for seed in (0..many).map(|n| n * TESTS + part) {
        let outcome = run_twice(seed);
        let found: Vec<String> = outcome
            .breaches
            .iter()
            .map(|breach| format!("{}: {}", breach.kind, breach.text))
            .collect();
        assert!(
            found.is_empty(),
            "seed {seed} failed: {found:#?}\nreplay it with \
             `cargo run -p cloakroom-sim --bin cloakroom-sim -- --history --seeds {seed}`"
        );
    }
}

macro_rules! parts {
    ($($name:ident: $part:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                run($part);
            }
        )*
    };
}

parts! {
    whatever_happens_every_promise_is_kept_1: 0,
    whatever_happens_every_promise_is_kept_2: 1,
    whatever_happens_every_promise_is_kept_3: 2,
    whatever_happens_every_promise_is_kept_4: 3,
    whatever_happens_every_promise_is_kept_5: 4,
    whatever_happens_every_promise_is_kept_6: 5,
    whatever_happens_every_promise_is_kept_7: 6,
    whatever_happens_every_promise_is_kept_8: 7,
}
