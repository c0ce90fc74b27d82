//! `cargo xtask full`: everything that must hold, and what takes longer.

use anyhow::Result;

use crate::{
    fuzz,
    provision::{C_COMPILER, CLIPPY},
    schemathesis,
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

/// Runs all steps.
pub(crate) fn run() -> Result<()> {
    let steps: Vec<&Step> = test::STEPS.iter().chain(LONGER).collect();
    steps::run_all(&steps, AfterFailure::GoOn)
}
