//! `cargo xtask full`: everything that must hold, and what takes longer.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};

use crate::{
    fuzz,
    provision::{C_COMPILER, CLIPPY},
    repo, schemathesis,
    steps::{self, AfterFailure, Run, Step},
    test,
};

/// The longer steps, which run after those of `cargo xtask test`. To add one, add an entry.
const LONGER: &[Step] = &[
    Step {
        name: "clippy of the client tests",
        folder: "clients",
        needs: &[CLIPPY, C_COMPILER],
        run: Run::Command(&["cargo", "clippy", "--all-targets", "--", "-D", "warnings"]),
    },
    Step {
        name: "clippy of the benchmark of engines",
        folder: "bench/engines",
        needs: &[CLIPPY, C_COMPILER],
        run: Run::Command(&["cargo", "clippy", "--all-targets", "--", "-D", "warnings"]),
    },
    Step {
        name: "garbage and the model of sync, from another seed",
        folder: ".",
        needs: &[C_COMPILER],
        run: Run::Own(another_seed),
    },
    Step {
        name: "soak: a thousand kills",
        folder: ".",
        needs: &[C_COMPILER],
        run: Run::BinaryCommands(&[SOAK]),
    },
    Step {
        name: "Schemathesis",
        folder: ".",
        needs: schemathesis::NEEDS,
        run: Run::Own(schemathesis::check),
    },
    Step { name: "fuzz", folder: ".", needs: fuzz::NEEDS, run: Run::Own(fuzz::run) },
];

/// The test that kills the server under load, ten times as long: its store grows, and its clients grow old.
const SOAK: &[&str] = &[
    "env",
    "TEST_KILLS=1000",
    "cargo",
    "test",
    "-p",
    "myelin-reliability",
    "--features",
    "binary",
    "--test",
    "kill",
    "--",
    "--nocapture",
];

/// How many runs of the model of sync are made from another seed; CI makes sixty.
const RUNS: &str = "300";

/// The suites whose cases follow from a seed, which is always the same in CI, from one that nobody chose.
fn another_seed() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let seed = now.as_secs().to_string();
    println!("   TEST_GARBAGE_SEED={seed} SYNC_MODEL_SEED={seed} SYNC_MODEL_RUNS={RUNS}");
    let status = Command::new("cargo")
        .args(["test", "-p", "myelin-testkit", "--test", "garbage", "--test", "sync_model"])
        .envs([("TEST_GARBAGE_SEED", &*seed), ("SYNC_MODEL_SEED", &*seed), ("SYNC_MODEL_RUNS", RUNS)])
        .current_dir(repo::root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("seed {seed} found something ({status})");
    }
    Ok(())
}

/// Runs all steps.
pub(crate) fn run() -> Result<()> {
    let steps: Vec<&Step> = test::STEPS.iter().chain(LONGER).collect();
    steps::run_all(&steps, AfterFailure::GoOn)
}
