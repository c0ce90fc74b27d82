//! Developer commands of this repository, run as `cargo xtask <command>`. One command a file; a new one is a module,
//! a variant of [`Command`] and an arm in [`main`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to the person who started it"
)]

mod bench;
mod binary;
mod ci;
mod complement;
mod full;
mod fuzz;
mod provision;
mod repo;
mod schemathesis;
mod spec_coverage;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of this repository. All work from any folder of the checkout and exit non-zero on failure.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the rules of the house: layers, bans, sizes, dependencies
    ///
    /// Reads every file that git tracks or would track and prints one line a finding: file:line, what is wrong, what
    /// to do instead. The rules are data in crates/xtask/src/tidy/policy.rs.
    Tidy,
    /// Run everything that must hold
    ///
    /// Says each step and its time, installs what a step needs where that is possible, and fails where it is not.
    Test {
        /// Run only tests whose names contain this text; it is an error if there are none
        filter: Option<String>,
    },
    /// Run `test`, then what takes longer: fuzz each target for a minute, Schemathesis for five
    Full,
    /// Measure the release binary, or any homeserver, over HTTP; beside a second one with --against
    ///
    /// Prints medians, ratios, server CPU, bytes and waits for the disk per request. See docs/benchmarks.md.
    Bench(bench::Options),
    /// Run upstream Complement against the release binary, and record or compare the results
    ///
    /// Writes conformance/complement/results.txt, one line for each test and subtest; with --check compares with it.
    Complement(complement::Options),
    /// Send the release binary requests that Schemathesis generates after the specification's OpenAPI description
    ///
    /// Fails on a 5xx, on a refusal that is no standard error, and where an operation that is served was not tried.
    Schemathesis(schemathesis::Options),
    /// Run every fuzz target for a minute
    ///
    /// Installs cargo-fuzz and a nightly compiler where they are missing. What is found lies in fuzz/artifacts.
    Fuzz,
    /// Write which operations of the specification are served, to conformance/spec-coverage.txt
    SpecCoverage,
    /// Run what a change must pass: format, tidy, clippy without warnings, test
    ///
    /// Stops at the first step that fails and prints the time of each. `.ci/run` calls this.
    Ci,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Tidy => tidy::run(),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Full => full::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Complement(options) => complement::run(&options),
        Command::Schemathesis(options) => schemathesis::run(&options),
        Command::Fuzz => fuzz::run(),
        Command::SpecCoverage => spec_coverage::run(),
        Command::Ci => ci::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
