//! `cargo xtask complement`: upstream Complement, every package, against the release binary.
//!
//! The tests are upstream's at the version that `conformance/complement/go.mod` pins, and nothing of them is changed:
//! `conformance/complement/engine` answers them as the container engine that they ask for homeservers.

mod go;
mod report;
mod results;

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    go::{Suite, Wanted},
    report::{counts, differences},
    results::{Results, Test},
};
use crate::{binary, provision::Need, repo};

/// What to run, and what to do with the results.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this package, such as csapi, tests or msc4140
    package: Option<String>,
    /// Only tests that match this pattern of `go test -run`
    #[arg(long)]
    run: Option<String>,
    /// Compare with conformance/complement/results.txt instead of writing it: fail where a test that passed does not
    /// pass any more, nor in two more tries
    #[arg(long)]
    check: bool,
    /// This binary, instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Run the tests of this checkout of upstream instead of the pinned version, and leave the file of results alone
    #[arg(long)]
    source: Option<PathBuf>,
    /// Print what the tests that fail print
    #[arg(long, short)]
    verbose: bool,
}

/// How often a test that differs from the file is run again.
const TRIES: usize = 2;

/// What a run needs; Go builds the tests.
pub(crate) const NEEDS: &[Need] = go::NEEDS;

/// The gate: everything, compared with the file.
pub(crate) fn check() -> Result<()> {
    run(&Options { package: None, run: None, check: true, binary: None, source: None, verbose: false })
}

/// Runs the tests, prints counts, and writes or compares the file of results.
pub(crate) fn run(options: &Options) -> Result<()> {
    NEEDS.iter().try_for_each(Need::ensure)?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| format!("no {}", binary.display()))?,
        None => binary::build()?,
    };
    let suite = Suite::prepare(binary, options.source.as_deref(), options.verbose)?;
    let wanted = Wanted::new(&suite, options.package.as_deref(), options.run.as_deref())?;
    let found = suite.run(&wanted)?;
    if found.tests.is_empty() {
        bail!("no test matches");
    }
    print!("{}", counts(&found));
    let path = repo::root().join("conformance/complement/results.txt");
    let recorded = match fs::read_to_string(&path) {
        Ok(text) => text.parse()?,
        Err(_) => Results::default(),
    };
    if options.check {
        let recorded = match options.run {
            Some(_) => recorded.only_tests_of(&found),
            None => recorded.only(&found.packages()),
        };
        return compare(&suite, &recorded, found);
    }
    print!("{}", differences(&recorded.only_tests_of(&found), &found));
    if options.run.is_some() || options.source.is_some() {
        println!("({} stays as it is)", path.display());
        return Ok(());
    }
    fs::write(&path, recorded.with(found).to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Runs what differs again; an error where something is lost for good.
fn compare(suite: &Suite, recorded: &Results, mut found: Results) -> Result<()> {
    let first: BTreeSet<Test> = recorded.differing(&found).into_iter().cloned().collect();
    for _ in 0..TRIES {
        let differing: Vec<Test> = recorded.differing(&found).into_iter().cloned().collect();
        if differing.is_empty() {
            break;
        }
        println!("── {} results differ from the file; running their tests again", differing.len());
        let again = suite.run(&Wanted::these(&differing))?;
        // One try that agrees with the file is enough: what it says is possible.
        found.tests.extend(again.tests.into_iter().filter(|(test, _)| differing.contains(test)));
    }
    print!("{}", differences(recorded, &found));
    let left = recorded.differing(&found);
    for test in first.iter().filter(|test| !left.contains(test)) {
        println!("flaked: {test}");
    }
    let lost: Vec<&Test> = left.iter().copied().filter(|test| recorded.is_lost(&found, test)).collect();
    if !lost.is_empty() {
        bail!("{} tests that conformance/complement/results.txt records as passed do not pass", lost.len());
    }
    if !left.is_empty() {
        println!("more passes than the file records: update it with `cargo xtask complement`");
    }
    Ok(())
}
