//! Resident memory of a server at rest: just started, and after all other loads.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::{
    homeserver::Homeserver,
    measure::{Cost, Sample},
};

/// How long a server is left alone before its memory is read.
const REST: Duration = Duration::from_secs(2);

pub(super) const IDLE: Load = Load {
    name: "memory-idle",
    title: "idle memory, just started",
    unit: Unit::Megabytes,
    goal: Goal::AtMost(40.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let Some(program) = site.program else { return Ok(Prepared::Absent("runs elsewhere")) };
        let mut number = 0;
        let round = move || {
            number += 1;
            let server = Homeserver::start(program, &site.folder.join(format!("idle-{number}")), None)?;
            let sample = memory(&server)?;
            server.stop()?;
            Ok(sample)
        };
        Ok(Prepared::Rounds(Box::new(round)))
    },
};

pub(super) const AFTER: Load = Load {
    name: "memory-after",
    title: "memory after these loads",
    unit: Unit::Megabytes,
    goal: Goal::None,
    writes: Writes::Nothing,
    prepare: |site| match site.program {
        None => Ok(Prepared::Absent("runs elsewhere")),
        Some(_) => Ok(Prepared::Rounds(Box::new(|| memory(site.server)))),
    },
};

fn memory(server: &Homeserver) -> Result<Sample> {
    thread::sleep(REST);
    let bytes = server.process.as_ref().context("the server runs elsewhere")?.memory();
    let value = bytes as f64 / 1e6;
    Ok(Sample { value, latencies: Vec::new(), requests: 0, cost: Cost::default() })
}
