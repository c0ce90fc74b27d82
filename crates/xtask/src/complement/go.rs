//! Building and running Complement's test packages with Go.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::results::{Results, Test, Verdict};
use crate::{
    provision::{NAMESPACES, Need, Origin},
    repo,
};

/// What upstream's packages begin with.
const UPSTREAM: &str = "github.com/matrix-org/complement";

pub(crate) const NEEDS: &[Need] = &[
    Need { name: "Go", probe: &["go", "version"], from: Origin::Debian(&["golang-go"]) },
    Need { name: "ip", probe: &["ip", "-Version"], from: Origin::Debian(&["iproute2"]) },
    NAMESPACES,
];

/// The suite, ready to run.
pub(crate) struct Suite {
    binary: PathBuf,
    /// Runs a test program, with the homeservers that it asks for.
    engine: PathBuf,
    /// Where `go` runs: our module with the pinned version, or a checkout of upstream.
    folder: PathBuf,
    /// The short name of each test package and its import path.
    packages: BTreeMap<String, String>,
    verbose: bool,
}

/// A package, and the pattern of tests to run in it.
pub(crate) struct Wanted(Vec<(String, Option<String>)>);

impl Wanted {
    /// One package or all, with the same pattern.
    pub(crate) fn new(suite: &Suite, package: Option<&str>, pattern: Option<&str>) -> Result<Self> {
        let pattern = pattern.map(str::to_owned);
        if let Some(package) = package {
            if !suite.packages.contains_key(package) {
                let known: Vec<&str> = suite.packages.keys().map(String::as_str).collect();
                bail!("no package {package:?}; there are {}", known.join(", "));
            }
            return Ok(Self(vec![(package.to_owned(), pattern)]));
        }
        Ok(Self(suite.packages.keys().map(|package| (package.clone(), pattern.clone())).collect()))
    }

    /// The whole tests that these, some of them subtests, belong to.
    pub(crate) fn these(tests: &[Test]) -> Self {
        let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in tests {
            let whole = test.name.split('/').next().unwrap_or_default();
            packages.entry(&test.package).or_default().push(whole);
        }
        let pattern = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            format!("^({})$", names.join("|"))
        };
        Self(
            packages.into_iter().map(|(package, names)| (package.to_owned(), Some(pattern(names)))).collect(),
        )
    }
}

/// A line of `go test -json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: String,
    #[serde(default)]
    package: String,
    test: Option<String>,
    output: Option<String>,
}

impl Suite {
    /// Fetches the pinned version, unless a checkout is at hand, and builds what starts the homeservers.
    pub(crate) fn prepare(binary: PathBuf, checkout: Option<&Path>, verbose: bool) -> Result<Self> {
        let ours = repo::root().join("conformance/complement");
        let engine = repo::root().join("target/complement/engine");
        output(go(&ours, &["build", "-o"]).arg(&engine).arg("./engine"))?;
        let folder = checkout.map_or(ours, Path::to_owned);
        let listed = output(go(&folder, &["list"]).arg(format!("{UPSTREAM}/tests/...")))?;
        let name = |import: &str| import.rsplit('/').next().unwrap_or(import).to_owned();
        let packages = listed.lines().map(|import| (name(import), import.to_owned())).collect();
        Ok(Self { binary, engine, folder, packages, verbose })
    }

    /// Runs the tests. That some fail is a result; that they can't be built or run is an error.
    pub(crate) fn run(&self, wanted: &Wanted) -> Result<Results> {
        let mut results = Results::default();
        // Packages with the same pattern share a run, and so the cores.
        let mut patterns: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        for (package, pattern) in &wanted.0 {
            let import = self.packages.get(package).with_context(|| format!("no package {package}"))?;
            patterns.entry(pattern.as_deref()).or_default().push(import);
        }
        for (pattern, packages) in patterns {
            results.tests.extend(self.run_packages(&packages, pattern)?.tests);
        }
        Ok(results)
    }

    fn run_packages(&self, packages: &[&str], pattern: Option<&str>) -> Result<Results> {
        let namespace = repo::root().join("conformance/complement/in-namespace.sh");
        let mut command =
            go(&self.folder, &["test", "-json", "-count=1", "-vet=off", "-p=2", "-timeout=30m", "-exec"]);
        command.arg(format!("{} {}", namespace.display(), self.engine.display()));
        command.args(pattern.map(|pattern| format!("-run={pattern}"))).args(packages);
        command.env("TEST_MYELIN_BINARY", &self.binary);
        println!(
            "   go test, {} packages{}",
            packages.len(),
            pattern.map(|p| format!(", {p}")).unwrap_or_default()
        );
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run go")?;
        let stdout = child.stdout.take().context("go has no output")?;
        let mut reading = Reading { verbose: self.verbose, ..Reading::default() };
        for line in BufReader::new(stdout).lines() {
            reading.line(&line.context("cannot read what go says")?);
        }
        child.wait().context("go did not end")?;
        reading.finish()
    }
}

/// Follows the lines of one run.
#[derive(Default)]
struct Reading {
    verbose: bool,
    results: Results,
    /// Tests under way; those left at the end did not end.
    open: BTreeMap<Test, String>,
    /// What stands outside of tests: the reason why a package could not be built or run.
    outside: BTreeMap<String, String>,
}

impl Reading {
    fn line(&mut self, line: &str) {
        // What is no JSON comes from the build.
        let Ok(line) = serde_json::from_str::<Line>(line) else {
            println!("{line}");
            return;
        };
        let package = line.package.rsplit('/').next().unwrap_or_default().to_owned();
        let Some(name) = line.test else {
            match line.output {
                Some(output) if line.action == "build-output" => print!("{output}"),
                Some(output) => self.outside.entry(package).or_default().push_str(&output),
                None => {}
            }
            return;
        };
        let test = Test { package, name };
        if let Some(output) = line.output {
            self.open.entry(test).or_default().push_str(&output);
        } else if let Some(verdict) = Verdict::parse(&line.action) {
            let said = self.open.remove(&test).unwrap_or_default();
            if verdict == Verdict::Fail {
                println!("   failed: {test}");
                if self.verbose {
                    println!("{said}");
                }
            }
            self.results.tests.insert(test, verdict);
        } else {
            self.open.entry(test).or_default();
        }
    }

    fn finish(mut self) -> Result<Results> {
        for (test, said) in std::mem::take(&mut self.open) {
            println!("   did not end: {test}\n{said}");
            self.results.tests.insert(test, Verdict::Fail);
        }
        let packages = self.results.packages();
        let silent = self.outside.iter().find(|(package, said)| {
            !packages.contains(*package) && (said.contains("FAIL") || said.contains("panic"))
        });
        if let Some((package, said)) = silent {
            bail!("package {package} did not run:\n{said}");
        }
        Ok(self.results)
    }
}

fn go(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("go");
    // Names are looked up by Go itself, in the hosts file, and no C compiler is needed.
    command.args(arguments).current_dir(folder).env("CGO_ENABLED", "0");
    // No stamp of the checkout: it may belong to another user, and git then refuses to say what it is.
    command.env("GOFLAGS", "-mod=readonly -buildvcs=false");
    command
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot run go")?;
    if !output.status.success() {
        bail!("{command:?} failed ({})", output.status);
    }
    String::from_utf8(output.stdout).context("go wrote what is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_and_a_test_that_never_ended_failed() {
        let mut reading = Reading::default();
        for line in [
            r#"{"Action":"start","Package":"x/tests/csapi"}"#,
            r#"{"Action":"run","Package":"x/tests/csapi","Test":"TestA"}"#,
            r#"{"Action":"output","Package":"x/tests/csapi","Test":"TestA","Output":"words\n"}"#,
            r#"{"Action":"pass","Package":"x/tests/csapi","Test":"TestA","Elapsed":0.1}"#,
            r#"{"Action":"run","Package":"x/tests/csapi","Test":"TestB/c"}"#,
            r#"{"Action":"fail","Package":"x/tests/csapi","Elapsed":0.1}"#,
        ] {
            reading.line(line);
        }
        assert_eq!(reading.finish().unwrap().to_string(), "pass csapi TestA\nfail csapi TestB/c\n");
    }

    #[test]
    fn a_package_that_does_not_run_is_an_error() {
        let mut reading = Reading::default();
        reading.line(r#"{"Action":"output","Package":"x/csapi","Output":"panic: no image\nFAIL x/csapi\n"}"#);
        reading.line(r#"{"Action":"fail","Package":"x/csapi"}"#);
        assert!(reading.finish().unwrap_err().to_string().contains("no image"));
    }

    #[test]
    fn what_differs_is_run_again_by_its_whole_test() {
        let test = |package: &str, name: &str| Test { package: package.to_owned(), name: name.to_owned() };
        let wanted = Wanted::these(&[
            test("a", "TestB/x"),
            test("a", "TestB/y"),
            test("a", "TestA"),
            test("c", "TestD"),
        ]);
        let pattern = |text: &str| Some(text.to_owned());
        assert_eq!(
            wanted.0,
            [("a".to_owned(), pattern("^(TestA|TestB)$")), ("c".to_owned(), pattern("^(TestD)$"))]
        );
    }
}
