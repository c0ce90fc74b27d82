//! `cargo xtask ci`: what must pass before a change is taken.

use anyhow::Result;

use crate::{
    provision::{C_COMPILER, CLIPPY, RUSTFMT},
    steps::{self, AfterFailure, Run, Step},
    test, tidy,
};

/// The steps before the tests, quickest first.
const BEFORE_TESTS: &[Step] = &[
    Step {
        name: "format",
        folder: ".",
        needs: &[RUSTFMT],
        run: Run::Command(&["cargo", "fmt", "--all", "--check"]),
    },
    Step {
        name: "format of the fuzz targets",
        folder: "fuzz",
        needs: &[RUSTFMT],
        run: Run::Command(&["cargo", "fmt", "--check"]),
    },
    Step {
        name: "format of the client tests",
        folder: "clients",
        needs: &[RUSTFMT],
        run: Run::Command(&["cargo", "fmt", "--check"]),
    },
    Step { name: "tidy", folder: ".", needs: &[], run: Run::Own(tidy::run) },
    Step {
        name: "clippy",
        folder: ".",
        needs: &[CLIPPY, C_COMPILER],
        run: Run::Command(&[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "myelin-reliability/binary",
            "--",
            "-D",
            "warnings",
        ]),
    },
];

/// Runs the steps until one fails.
pub(crate) fn run() -> Result<()> {
    let steps: Vec<&Step> = BEFORE_TESTS.iter().chain(test::STEPS).collect();
    steps::run_all(&steps, AfterFailure::Stop)
}
