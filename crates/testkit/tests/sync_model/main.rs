//! All faces of sync against a slow model: users do what they like, each with several clients on different faces at the same
//! time, which look at what they like, lose answers and ask twice, while the server is stopped and killed. In the end
//! each client knows what there is, and was shown each event once or told of the gap.
//!
//! Runs follow from [`SEED`]; `SYNC_MODEL_SEED` begins with another, and `SYNC_MODEL_RUNS` makes more.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a request that can't be built fails the test")]

mod check;
mod clients;
mod house;
mod ops;
mod picture;
mod run;
mod truth;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What the first run follows from; each next one from the next number.
const SEED: u64 = 20_261_126;
/// How many runs there are.
const RUNS: u64 = 60;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn every_client_of_every_face_ends_up_with_what_there_is() {
    let first = number("SYNC_MODEL_SEED", SEED);
    for seed in first..first + number("SYNC_MODEL_RUNS", RUNS) {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config =
            Config { cases: 1, failure_persistence: None, max_shrink_iters: 150, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let story = prop::collection::vec(ops::any_op(), 1..100);
        let outcome = runner.run(&story, |ops| run::run(seed, &ops).map_err(TestCaseError::fail));
        if let Err(error) = outcome {
            panic!("SYNC_MODEL_SEED={seed} SYNC_MODEL_RUNS=1: {error}");
        }
    }
}
