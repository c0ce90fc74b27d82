//! Runs tables of steps: says each, times it, and tells at the end what failed.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{binary, provision::Need, repo};

/// One thing that must hold.
pub(crate) struct Step {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Folder to run in, from the root of the repository.
    pub(crate) folder: &'static str,
    /// What must be on the machine.
    pub(crate) needs: &'static [Need],
    /// What is run.
    pub(crate) run: Run,
}

/// How a step is run.
pub(crate) enum Run {
    /// A program and its arguments.
    Command(&'static [&'static str]),
    /// `cargo` and its arguments for a run of tests, to which a test's name can be added.
    Tests(&'static [&'static str]),
    /// The same for tests of the server's binary, which is built first; `TEST_MYELIN_BINARY` tells them where it is.
    BinaryTests(&'static [&'static str]),
    /// Commands for tests of the server's binary that cargo does not run, one after the other.
    BinaryCommands(&'static [&'static [&'static str]]),
    /// A function of this program.
    Own(fn() -> Result<()>),
}

/// What to do after a step that fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// The steps that follow depend on it.
    Stop,
    /// The steps stand for themselves: run them all.
    GoOn,
}

/// How one step ended.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// Runs the steps in order and prints their times. An error where any failed.
pub(crate) fn run_all(steps: &[&Step], after_failure: AfterFailure) -> Result<()> {
    let mut outcomes = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("── {} of {}: {}", index + 1, steps.len(), step.name);
        let outcome = timed(step, || step.run(&[]));
        let failed = outcome.result.is_err();
        outcomes.push(outcome);
        if failed && after_failure == AfterFailure::Stop {
            break;
        }
    }
    conclude(&outcomes, steps.len())
}

/// Runs only the tests whose names contain `filter`. An error where any failed, or where there are none.
pub(crate) fn run_matching(steps: &[&Step], filter: &str) -> Result<()> {
    let mut outcomes = Vec::new();
    for step in steps {
        let (Run::Tests(command) | Run::BinaryTests(command)) = step.run else {
            println!("── {}: left out, it takes no filter", step.name);
            continue;
        };
        step.provide()?;
        let found = count_tests(step, command, filter)?;
        println!("── {}: {found} tests match `{filter}`", step.name);
        if found > 0 {
            outcomes.push(timed(step, || step.run(&[filter])));
        }
    }
    if outcomes.is_empty() {
        bail!("no test's name contains `{filter}`");
    }
    let run = outcomes.len();
    conclude(&outcomes, run)
}

impl Step {
    fn provide(&self) -> Result<()> {
        self.needs.iter().try_for_each(Need::ensure)
    }

    fn run(&self, more: &[&str]) -> Result<()> {
        self.provide()?;
        match self.run {
            Run::Own(function) => function(),
            Run::Command(command) => execute(self.folder, &[command, more].concat(), None),
            Run::Tests(command) => execute(self.folder, &[&["cargo"], command, more].concat(), None),
            Run::BinaryTests(command) => {
                let binary = binary::build()?;
                execute(self.folder, &[&["cargo"], command, more].concat(), Some(&binary))
            }
            Run::BinaryCommands(commands) => {
                let binary = binary::build()?;
                commands.iter().try_for_each(|command| execute(self.folder, command, Some(&binary)))
            }
        }
    }
}

fn timed(step: &Step, work: impl FnOnce() -> Result<()>) -> Outcome {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    match &result {
        Ok(()) => println!("── {}: holds ({})", step.name, seconds(took)),
        Err(error) => println!("── {}: FAILED after {}: {error:#}", step.name, seconds(took)),
    }
    Outcome { name: step.name, took, result }
}

fn execute(folder: &str, command: &[&str], binary: Option<&Path>) -> Result<()> {
    println!("   {}", command.join(" "));
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(repo::root().join(folder))
        .envs(binary.map(|binary| ("TEST_MYELIN_BINARY", binary)))
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("`{}` failed ({status})", command.join(" "));
    }
    Ok(())
}

fn count_tests(step: &Step, command: &[&str], filter: &str) -> Result<usize> {
    let output = Command::new("cargo")
        .args(command)
        .args([filter, "--", "--list"])
        .current_dir(repo::root().join(step.folder))
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}: the tests do not build", step.name);
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.ends_with(": test")).count())
}

/// Prints the table of times; an error names what failed and what did not get its turn.
fn conclude(outcomes: &[Outcome], planned: usize) -> Result<()> {
    println!();
    for outcome in outcomes {
        let verdict = if outcome.result.is_ok() { "holds" } else { "FAILED" };
        println!("{:>8}  {verdict:<6}  {}", seconds(outcome.took), outcome.name);
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.result.is_err()).map(|outcome| outcome.name).collect();
    match (failed.as_slice(), planned - outcomes.len()) {
        ([], _) => Ok(()),
        (failed, 0) => bail!("failed: {}", failed.join(", ")),
        (failed, left) => bail!("failed: {}; {left} steps after it were not run", failed.join(", ")),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::Origin;

    const fn step(name: &'static str, command: &'static [&'static str]) -> Step {
        Step { name, folder: ".", needs: &[], run: Run::Command(command) }
    }

    const GOOD: Step = step("good", &["true"]);
    const BAD: Step = step("bad", &["false"]);
    const WORSE: Step = step("worse", &["false"]);

    fn failure(steps: &[&Step], after_failure: AfterFailure) -> String {
        run_all(steps, after_failure).unwrap_err().to_string()
    }

    #[test]
    fn all_steps_that_fail_are_named() {
        assert_eq!(failure(&[&BAD, &GOOD, &WORSE], AfterFailure::GoOn), "failed: bad, worse");
    }

    #[test]
    fn steps_that_depend_on_a_failed_one_are_counted_as_not_run() {
        let message = failure(&[&GOOD, &BAD, &WORSE, &GOOD], AfterFailure::Stop);
        assert_eq!(message, "failed: bad; 2 steps after it were not run");
    }

    #[test]
    fn a_program_that_is_not_there_fails_its_step() {
        assert_eq!(
            failure(&[&step("ghost", &["no-such-program-here"])], AfterFailure::GoOn),
            "failed: ghost"
        );
    }

    #[test]
    fn a_need_that_cannot_be_met_fails_the_step_before_it_runs() {
        let needs = &[Need { name: "the moon", probe: &["false"], from: Origin::Command(&["false"]) }];
        let step =
            Step { name: "flight", folder: ".", needs, run: Run::Own(|| unreachable!("must not run")) };
        assert_eq!(failure(&[&step], AfterFailure::GoOn), "failed: flight");
    }

    #[test]
    fn a_filter_that_leaves_nothing_is_an_error() {
        let message = run_matching(&[&GOOD], "name").unwrap_err().to_string();
        assert_eq!(message, "no test's name contains `name`");
    }
}
