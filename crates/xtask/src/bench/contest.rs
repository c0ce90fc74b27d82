//! Runs a load on one server or on two in turn.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    accounts::Accounts,
    disk,
    homeserver::{Homeserver, Program},
    loads::{Load, Prepared, Site, Sizes, Writes},
    measure::{Sample, median},
    trace::{Trace, Waits},
};

/// How many waits for the disk are timed before each round.
const FSYNCS: usize = 15;

/// The servers that are compared, and how.
pub(crate) struct Contest<'a> {
    /// One or two.
    pub(crate) contenders: Vec<Contender>,
    pub(crate) sizes: Sizes,
    pub(crate) rounds: usize,
    /// A folder on the disk that the servers write to.
    pub(crate) folder: &'a Path,
}

/// A homeserver that is measured.
pub(crate) struct Contender {
    /// Short, for the heads of columns.
    pub(crate) name: String,
    /// Name and version.
    pub(crate) version: String,
    pub(crate) server: Homeserver,
    /// How to start another of its kind, where this program may.
    pub(crate) program: Option<Box<dyn Program>>,
    /// Where its data lies.
    pub(crate) folder: PathBuf,
    /// Users with many rooms, made when a load wants them.
    pub(crate) accounts: Accounts,
}

/// A load and what came of it.
pub(crate) struct Row {
    pub(crate) load: &'static Load,
    /// One for each contender.
    pub(crate) outcomes: Vec<Outcome>,
    /// The median time of one `fdatasync` of this disk while the load ran, in milliseconds.
    pub(crate) fsync: f64,
    /// Waits for the disk of one request, where they were counted; one for each contender.
    pub(crate) waits: Vec<Option<WaitsOfRequest>>,
}

/// What came of a load on one server.
pub(crate) enum Outcome {
    Figures(Vec<Sample>),
    /// It can't be run, for this reason.
    Absent(&'static str),
    Failed(String),
}

/// How often the server waits for the disk for one request, and how long in all, tracing included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitsOfRequest {
    pub(crate) number: f64,
    pub(crate) milliseconds: f64,
}

impl Contest<'_> {
    /// Prepares the load everywhere, runs one round that does not count, and then the rounds, in an order that turns.
    pub(crate) fn run(&self, load: &'static Load) -> Result<Row> {
        let sites: Vec<Site<'_>> = self.contenders.iter().map(|contender| self.site(contender)).collect();
        let mut runs: Vec<_> = sites.iter().map(|site| Run::prepare(load, site)).collect();
        let mut fsyncs = Vec::new();
        runs.iter_mut().for_each(Run::warm_up);
        for round in 0..self.rounds {
            fsyncs.extend(disk::fsync_times(self.folder, FSYNCS)?);
            let turn = round % runs.len();
            runs.rotate_left(turn);
            runs.iter_mut().for_each(Run::round);
            runs.rotate_right(turn);
        }
        let waits = vec![None; runs.len()];
        let outcomes = runs.into_iter().map(|run| run.outcome).collect();
        Ok(Row { load, outcomes, fsync: median(&fsyncs), waits })
    }

    /// Whether there is a server that can be started under a tracer.
    pub(crate) fn can_be_traced(&self) -> bool {
        self.contenders.iter().any(|contender| contender.program.is_some())
    }

    /// Counts the waits for the disk in one round more, of a server that is started for this under strace.
    pub(crate) fn trace(&self, row: &mut Row) -> Result<()> {
        if row.load.writes == Writes::Nothing {
            return Ok(());
        }
        for (at, contender) in self.contenders.iter().enumerate() {
            let Some(program) = contender.program.as_deref() else { continue };
            if matches!(row.outcomes[at], Outcome::Figures(_)) {
                let folder = contender.folder.join(format!("traced-{}", row.load.name));
                let waits = self.trace_one(row.load, program, &folder);
                row.waits[at] = Some(waits.with_context(|| format!("{} under strace", contender.name))?);
            }
        }
        Ok(())
    }

    fn trace_one(&self, load: &Load, program: &dyn Program, folder: &Path) -> Result<WaitsOfRequest> {
        std::fs::create_dir_all(folder)?;
        let trace = Trace::new(folder);
        let server = Homeserver::start(program, folder, Some(&trace))?;
        let accounts = Accounts::default();
        let site = Site { server: &server, program: None, folder, sizes: &self.sizes, accounts: &accounts };
        let counted = match (load.prepare)(&site)? {
            Prepared::Absent(reason) => anyhow::bail!("{reason}"),
            Prepared::Rounds(mut round) => {
                let before = trace.waits();
                let sample = round()?;
                per_request(before, trace.waits(), sample.requests)
            }
        };
        server.stop()?;
        Ok(counted)
    }

    fn site<'a>(&'a self, contender: &'a Contender) -> Site<'a> {
        Site {
            server: &contender.server,
            program: contender.program.as_deref(),
            folder: &contender.folder,
            sizes: &self.sizes,
            accounts: &contender.accounts,
        }
    }
}

fn per_request(before: Waits, after: Waits, requests: usize) -> WaitsOfRequest {
    let requests = requests.max(1) as f64;
    WaitsOfRequest {
        number: (after.number - before.number) as f64 / requests,
        milliseconds: (after.milliseconds - before.milliseconds) / requests,
    }
}

/// A load on one server.
struct Run<'a> {
    round: Option<Box<dyn FnMut() -> Result<Sample> + 'a>>,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn prepare(load: &Load, site: &'a Site<'a>) -> Self {
        match (load.prepare)(site) {
            Ok(Prepared::Rounds(round)) => Self { round: Some(round), outcome: Outcome::Figures(Vec::new()) },
            Ok(Prepared::Absent(reason)) => Self { round: None, outcome: Outcome::Absent(reason) },
            Err(error) => Self { round: None, outcome: Outcome::Failed(format!("{error:#}")) },
        }
    }

    /// A round whose figure is dropped.
    fn warm_up(&mut self) {
        self.round();
        if let Outcome::Figures(samples) = &mut self.outcome {
            samples.clear();
        }
    }

    fn round(&mut self) {
        let Some(round) = &mut self.round else { return };
        match round() {
            Ok(sample) => {
                if let Outcome::Figures(samples) = &mut self.outcome {
                    samples.push(sample);
                }
            }
            Err(error) => {
                self.round = None;
                self.outcome = Outcome::Failed(format!("{error:#}"));
            }
        }
    }
}
