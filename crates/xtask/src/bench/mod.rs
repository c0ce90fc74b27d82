//! `cargo xtask bench`: loads driven over HTTP on loopback against the release binary or any homeserver, two of them in
//! turn where two are given, with what each costs.
//!
//! A load is a file in `loads`; `contest` runs it, `report` makes the tables. What is measured and how is told in
//! `docs/benchmarks.md`.

mod accounts;
mod contest;
mod disk;
pub(crate) mod homeserver;
mod http;
mod loads;
mod machine;
mod matrix;
mod measure;
mod oauth;
mod parallel;
mod process;
mod report;
mod synapse;
mod trace;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    accounts::Accounts,
    contest::{Contender, Contest},
    homeserver::{Homeserver, Myelin, Program},
    loads::{ALL, Load, Sizes},
    matrix::Registration,
    report::Report,
    synapse::Synapse,
};
use crate::{provision::STRACE, repo};

/// What the command line says.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure this Myelin binary; without it, the release binary is built
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    binary: Option<PathBuf>,
    /// Measure the homeserver that answers here, such as http://127.0.0.1:8008
    #[arg(long)]
    url: Option<String>,
    /// Its shared registration secret; without one its registration must be open
    #[arg(long, requires = "url")]
    secret: Option<String>,
    /// Run a second homeserver beside it, in turn: `synapse` (installed from PyPI), a Myelin binary, or a URL
    #[arg(long, value_name = "synapse|PATH|URL")]
    against: Option<String>,
    /// The second one's shared registration secret
    #[arg(long, requires = "against")]
    against_secret: Option<String>,
    /// How many rounds each load runs; figures are medians of them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Little of everything and one round: shows that it runs, measures nothing
    #[arg(long)]
    quick: bool,
    /// Do not count waits for the disk in a pass of its own under strace
    #[arg(long)]
    no_trace: bool,
    /// Write the tables into this file, between its lines `<!-- bench -->` and `<!-- /bench -->` where it has them
    #[arg(long, value_name = "FILE", conflicts_with = "quick")]
    markdown: Option<PathBuf>,
    /// Write them between the lines `<!-- bench NAME -->` and `<!-- /bench NAME -->` instead: a file may have several tables
    #[arg(long, value_name = "NAME", requires = "markdown")]
    section: Option<String>,
    /// The loads to run, all by default (an unknown name lists them)
    loads: Vec<String>,
}

/// Runs the chosen loads and prints the tables. An error where a load failed on any server.
pub(crate) fn run(options: &Options) -> Result<()> {
    let loads = chosen(&options.loads)?;
    let base = base_folder();
    std::fs::create_dir_all(&base)?;
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&base)?;
    let contest = Contest {
        contenders: contenders(options, &base, folder.path())?,
        sizes: if options.quick { Sizes::QUICK } else { Sizes::FULL },
        rounds: if options.quick { 1 } else { options.rounds as usize },
        folder: folder.path(),
    };
    let mut report = Report::begin(&contest)?;
    print!("{}", report.head());
    let traces = !options.no_trace && contest.can_be_traced();
    if traces {
        STRACE.ensure()?;
    }
    for load in &loads {
        println!("── {}", load.title);
        let row = contest.run(load)?;
        println!("   {}", report::one_line(&row));
        report.rows.push(row);
    }
    if traces {
        println!("── waits for the disk, under strace");
        for row in &mut report.rows {
            contest.trace(row)?;
        }
    }
    report.end();
    println!("\n{}", report.text());
    if let Some(file) = &options.markdown {
        report::write_into(file, options.section.as_deref(), &report.markdown())?;
        println!("written to {}", file.display());
    }
    let failed: Vec<&str> = report.failed();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Load>> {
    for name in names {
        if !ALL.iter().any(|load| load.name == name) {
            let known: Vec<_> = ALL.iter().map(|load| load.name).collect();
            bail!("there is no load `{name}`; there are: {}", known.join(", "));
        }
    }
    let is_chosen = |load: &&Load| names.is_empty() || names.iter().any(|name| load.name == name);
    Ok(ALL.iter().filter(is_chosen).collect())
}

/// Where data is written and Synapse is installed: with what is built, and so on a disk, which /tmp may not be.
fn base_folder() -> PathBuf {
    target_folder().join("bench")
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repo::root().join("target"), |folder| repo::root().join(folder))
}

fn contenders(options: &Options, base: &Path, folder: &Path) -> Result<Vec<Contender>> {
    let mut contenders = vec![match &options.url {
        Some(url) => elsewhere(url, options.secret.as_ref())?,
        None => myelin(options.binary.clone(), folder, "myelin")?,
    }];
    match options.against.as_deref() {
        None => {}
        Some("synapse") => {
            let program = Box::new(Synapse::provide(base)?);
            let version = format!("Synapse {} (SQLite)", synapse::VERSION);
            contenders.push(own("Synapse", version, program, folder.join("synapse"))?);
        }
        Some(url) if url.contains("://") => contenders.push(elsewhere(url, options.against_secret.as_ref())?),
        Some(path) => contenders.push(myelin(Some(path.into()), folder, "second")?),
    }
    if let [first, second] = contenders.as_mut_slice()
        && first.name == second.name
    {
        first.name.push_str(" (first)");
        second.name.push_str(" (second)");
    }
    Ok(contenders)
}

fn myelin(binary: Option<PathBuf>, folder: &Path, place: &str) -> Result<Contender> {
    let binary = match binary {
        Some(binary) => std::path::absolute(binary)?,
        None => build()?,
    };
    if !binary.is_file() {
        bail!("there is no binary at {}", binary.display());
    }
    let said = machine::said(Command::new(&binary).arg("--version"));
    let number = said.strip_prefix("myelin ").unwrap_or(&said);
    let version = format!("Myelin {number}");
    own("Myelin", version, Box::new(Myelin { binary }), folder.join(place))
}

fn own(name: &str, version: String, program: Box<dyn Program>, folder: PathBuf) -> Result<Contender> {
    let server = Homeserver::start(program.as_ref(), &folder.join("main"), None)?;
    let accounts = Accounts::default();
    Ok(Contender { name: name.to_owned(), version, server, program: Some(program), folder, accounts })
}

fn elsewhere(url: &str, secret: Option<&String>) -> Result<Contender> {
    let registration = Registration { secret: secret.cloned() };
    let server = Homeserver::elsewhere(http::authority(url)?, registration)?;
    let version = server.version().unwrap_or_else(|| format!("the homeserver at {url}"));
    let name = version.split(' ').next().unwrap_or(url).to_owned();
    let name = if name == "the" { url.to_owned() } else { name };
    let accounts = Accounts::default();
    Ok(Contender { name, version, server, program: None, folder: PathBuf::new(), accounts })
}

fn build() -> Result<PathBuf> {
    println!("── cargo build --release -p myelin-server");
    let status = Command::new("cargo")
        .args(["build", "--release", "-p", "myelin-server"])
        .current_dir(repo::root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the server does not build");
    }
    Ok(target_folder().join("release/myelin"))
}
