//! Callers of a large call who keep their membership alive: each restarts a delayed event again and again (MSC4140).

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    matrix::User,
    measure::{Sample, measure, milliseconds},
    parallel,
};

pub(super) const LOAD: Load = Load {
    name: "delays",
    title: "200 callers restarting their delayed events every 5 s",
    unit: Unit::PercentOfCore,
    goal: Goal::AtMost(2.0),
    writes: Writes::EachRequest,
    prepare: rounds,
};

/// How often each caller restarts their own.
const EVERY: Duration = Duration::from_secs(5);

fn rounds<'a>(site: &'a Site<'a>) -> Result<Prepared<'a>> {
    let mut first = site.server.user()?;
    let room = first.create_public_room()?;
    if first.delay(&room)?.is_none() {
        return Ok(Prepared::Absent("has no delayed events"));
    }
    let callers = parallel::map(site.sizes.callers, |_| {
        let mut user = site.server.user()?;
        user.join(&room)?;
        let delay = user.delay(&room)?.context("no delayed event was scheduled")?;
        Ok((user, delay))
    });
    let mut callers = callers?;
    Ok(Prepared::Rounds(Box::new(move || round(site, &mut callers))))
}

/// One restart by each caller, evenly over the time between two.
fn round(site: &Site<'_>, callers: &mut [(User, String)]) -> Result<Sample> {
    let gap = EVERY / u32::try_from(site.sizes.callers)?;
    let start = Instant::now();
    let (latencies, cost) = measure(site.server, || {
        let mut latencies = Vec::with_capacity(callers.len());
        for (number, (user, delay)) in (0..).zip(callers.iter_mut()) {
            let due = start + gap * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sent = Instant::now();
            user.restart(delay)?;
            latencies.push(milliseconds(sent.elapsed()));
        }
        thread::sleep((start + EVERY).saturating_duration_since(Instant::now()));
        Ok(latencies)
    })?;
    let wall = start.elapsed().as_secs_f64();
    let cpu = cost.server.context("the server runs elsewhere")?.cpu.as_secs_f64();
    Ok(Sample { value: cpu / wall * 100.0, requests: latencies.len(), latencies, cost })
}
