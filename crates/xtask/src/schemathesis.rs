//! `cargo xtask schemathesis`: generated requests, after the specification's OpenAPI description, against the binary.
//!
//! Schemathesis is installed at the pinned version into a virtual environment. `conformance/schemathesis/openapi.json` is
//! derived from the specification (`describe.py`); operations that are not served are left out. What must hold of every
//! answer: no 5xx, and a refusal is a standard error in JSON.

mod report;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use self::report::Counts;
use crate::{
    bench::homeserver::{Homeserver, Myelin, Program},
    binary,
    provision::{Need, Origin},
    repo,
};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long to go on, in seconds
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
    /// What the random choices follow from
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Only operations whose path contains this text
    #[arg(long)]
    path: Option<String>,
    /// This binary, instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Before, derive conformance/schemathesis/openapi.json anew from this checkout of the specification
    #[arg(long)]
    spec: Option<PathBuf>,
}

/// How long the gate goes on.
const SECONDS: u64 = 300;
/// The gate's seed.
const SEED: u64 = 20_261_126;
/// By which the requests' users are registered.
const SECRET: &str = "schemathesis-and-nobody-else";

/// What a run needs.
pub(crate) const NEEDS: &[Need] = &[Need {
    name: "Python with venv",
    probe: &["python3", "-c", "import ensurepip, venv"],
    from: Origin::Debian(&["python3", "python3-venv"]),
}];

/// The gate: all operations, for the usual time.
pub(crate) fn check() -> Result<()> {
    run(&Options { seconds: SECONDS, seed: SEED, path: None, binary: None, spec: None })
}

/// Runs the requests and prints what was answered. An error where an answer was wrong.
pub(crate) fn run(options: &Options) -> Result<()> {
    NEEDS.iter().try_for_each(Need::ensure)?;
    let ours = repo::root().join("conformance/schemathesis");
    let work = repo::root().join("target/schemathesis");
    fs::create_dir_all(&work)?;
    let environment = provide(&ours.join("requirements.txt"), &work.join("venv"))?;
    let description = ours.join("openapi.json");
    if let Some(spec) = &options.spec {
        done(
            Command::new(environment.join("python"))
                .arg(ours.join("describe.py"))
                .arg(spec)
                .arg(&description),
        )?;
    }
    let served = work.join("served.json");
    let operations = only_served(&description, options.path.as_deref(), &served)?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| format!("no {}", binary.display()))?,
        None => binary::build()?,
    };
    let folder = tempfile::tempdir()?;
    let server = Homeserver::start(&Tried(Myelin { binary }), folder.path(), None)?;
    let counts = work.join("counts.json");
    // What an earlier run left must not count for this one.
    fs::remove_file(&counts).ok();
    let mut command = Command::new(environment.join("schemathesis"));
    command.arg("--config-file").arg(ours.join("schemathesis.toml")).arg("run").arg(&served);
    command.args(["--url", &format!("http://{}", server.address), "--phases", "examples,coverage,fuzzing"]);
    command.args([
        "--checks",
        "not_a_server_error,answers_in_json",
        "--continue-on-failure",
        // More would run threads in each of which Hypothesis parses Python: CPython before 3.12 loses count of how deep it is
        // there (gh-106905), and the run ends in an error of the tool's own.
        "--workers",
        "1",
    ]);
    command.args(["--seed", &options.seed.to_string(), "--max-time", &options.seconds.to_string()]);
    command.args([
        "--request-timeout",
        "30",
        "--suppress-health-check",
        "all",
        "--no-color",
        "--warnings",
        "off",
    ]);
    command.args(["--generation-database", "none"]);
    command
        .env("TEST_MYELIN_URL", format!("http://{}", server.address))
        .env("TEST_MYELIN_SECRET", SECRET)
        .env("TEST_MYELIN_COUNTS", &counts)
        .current_dir(&ours)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    println!(
        "   schemathesis, {} operations, {} s, seed {}",
        operations.len(),
        options.seconds,
        options.seed
    );
    let passed = command.status().context("cannot run schemathesis")?.success();
    let counts = Counts::read(&counts).context("schemathesis did not come to its end")?;
    print!("{}", counts.table(&operations));
    let logged = errors_in(&folder.path().join("server.log"));
    server.stop()?;
    if !logged.is_empty() {
        println!("the server logged:\n{}", logged.join("\n"));
    }
    let untried: Vec<&String> = operations.iter().filter(|operation| !counts.has(operation)).collect();
    if !untried.is_empty() {
        bail!("{} operations were not tried in {} s: {untried:?}", untried.len(), options.seconds);
    }
    if !passed {
        bail!("schemathesis found answers that must not be");
    }
    Ok(())
}

/// The server, reaching out to nobody and letting the requests register.
struct Tried(Myelin);

impl Program for Tried {
    fn command(&self, folder: &Path, address: &str) -> Result<Command> {
        let mut command = self.0.command(folder, address)?;
        command.env("MYELIN_URL_PREVIEWS__ENABLED", "false").env("MYELIN_REGISTRATION_SHARED_SECRET", SECRET);
        Ok(command)
    }
}

/// Installs what is required into a virtual environment, unless that is done. Answers with its folder of programs.
fn provide(requirements: &Path, environment: &Path) -> Result<PathBuf> {
    let programs = environment.join("bin");
    let stamp = environment.join("requirements.txt");
    let wanted = fs::read(requirements).with_context(|| format!("no {}", requirements.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    println!("   installing schemathesis into {}", environment.display());
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut install = Command::new(programs.join("python"));
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
    ]);
    done(install.arg(requirements)).context("schemathesis could not be installed from the package index")?;
    fs::write(stamp, wanted)?;
    Ok(programs)
}

/// Writes the description of those operations that `conformance/spec-coverage.txt` says are served.
fn only_served(description: &Path, path: Option<&str>, to: &Path) -> Result<BTreeSet<String>> {
    let coverage = fs::read_to_string(repo::root().join("conformance/spec-coverage.txt"))?;
    let served: BTreeSet<&str> = coverage.lines().filter_map(|line| line.strip_prefix("served ")).collect();
    let served: BTreeSet<String> =
        served.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let mut whole: Value = serde_json::from_str(&fs::read_to_string(description)?)
        .with_context(|| format!("{} is no JSON", description.display()))?;
    let mut kept = BTreeSet::new();
    let paths = whole["paths"].as_object_mut().context("the description has no paths")?;
    for (name, item) in paths.iter_mut() {
        let Some(item) = item.as_object_mut() else { continue };
        item.retain(|method, _| {
            let operation = format!("{} {name}", method.to_uppercase());
            let keep = served.contains(&operation) && path.is_none_or(|path| name.contains(path));
            keep && kept.insert(operation)
        });
    }
    paths.retain(|_, item| item.as_object().is_some_and(|item| !item.is_empty()));
    if kept.is_empty() {
        bail!("no operation is left");
    }
    fs::write(to, whole.to_string())?;
    Ok(kept)
}

/// The first lines that tell of an error.
fn errors_in(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let errors = text.lines().filter(|line| line.contains("ERROR") || line.contains("panicked"));
    errors.take(20).map(str::to_owned).collect()
}

fn done(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}
