//! `cargo xtask test`: everything that must hold.

use anyhow::Result;

use crate::{
    complement,
    provision::{C_COMPILER, CHROMIUM, NAMESPACES, NHEKO, NPM, NPM_PACKAGES, SLAPD, STRACE},
    steps::{self, AfterFailure, Run, Step},
};

/// The steps. To add one, add an entry. A step that cannot run fails; none is skipped in silence.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "workspace tests",
        folder: ".",
        needs: &[C_COMPILER, STRACE, SLAPD],
        run: Run::Tests(&["test", "--workspace", "--no-fail-fast"]),
    },
    Step {
        name: "reliability of the binary",
        folder: ".",
        needs: &[C_COMPILER, STRACE, NAMESPACES],
        run: Run::BinaryTests(&[
            "test",
            "-p",
            "myelin-reliability",
            "--features",
            "binary",
            "--no-fail-fast",
            "--tests",
        ]),
    },
    Step {
        name: "real clients against the binary",
        folder: "clients",
        // The SDK's people sit at a browser, which the JavaScript tests drive, too.
        needs: &[C_COMPILER, NPM, NPM_PACKAGES, CHROMIUM],
        run: Run::BinaryTests(&["test", "--no-fail-fast"]),
    },
    Step {
        name: "matrix-js-sdk and a browser against the binary",
        folder: "clients/js",
        needs: &[C_COMPILER, NPM, NPM_PACKAGES, CHROMIUM],
        run: Run::BinaryCommands(&[&["npm", "test", "--silent"]]),
    },
    Step {
        name: "nheko against the binary",
        folder: "clients/js",
        needs: &[C_COMPILER, NPM, NPM_PACKAGES, NHEKO],
        run: Run::BinaryCommands(&[&["npm", "run", "nheko", "--silent"]]),
    },
    Step { name: "Complement", folder: ".", needs: complement::NEEDS, run: Run::Own(complement::check) },
];

/// Runs every step, or only the tests whose names contain the filter.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let steps: Vec<&Step> = STEPS.iter().collect();
    match filter {
        Some(filter) => steps::run_matching(&steps, filter),
        None => steps::run_all(&steps, AfterFailure::GoOn),
    }
}
