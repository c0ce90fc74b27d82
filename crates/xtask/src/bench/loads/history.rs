//! `GET /messages` backwards in pages of 100, from the end of a room to its beginning.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    matrix::User,
    measure::{Sample, measure, milliseconds},
    parallel,
};

/// Connections over which the history is written.
const WRITERS: usize = 8;

pub(super) const LOAD: Load = Load {
    name: "history",
    title: "history in pages of 100",
    unit: Unit::EventsPerSecond,
    goal: Goal::AtLeast(80_000.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let mut user = site.server.user()?;
        let room = user.create_room()?;
        let mut writers: Vec<User> =
            (0..WRITERS).map(|_| user.another_connection(&site.server.address)).collect();
        parallel::each(&mut writers, |writer, _| {
            let mut numbers = 0..site.sizes.history / WRITERS;
            numbers.try_for_each(|number| writer.send(&room, &format!("Message {number} of a long talk.")))
        })?;
        Ok(Prepared::Rounds(Box::new(move || round(site, &mut user, &room))))
    },
};

fn round(site: &Site<'_>, user: &mut User, room: &str) -> Result<Sample> {
    let ((events, latencies, took), cost) = measure(site.server, || {
        let start = Instant::now();
        let (mut events, mut latencies) = (0, Vec::new());
        while latencies.is_empty() || start.elapsed() < site.sizes.reading {
            events += read_all(user, room, &mut latencies)?;
        }
        Ok((events, latencies, start.elapsed()))
    })?;
    let value = events as f64 / took.as_secs_f64();
    Ok(Sample { value, requests: latencies.len(), latencies, cost })
}

fn read_all(user: &mut User, room: &str, latencies: &mut Vec<f64>) -> Result<usize> {
    let (mut events, mut from) = (0, None);
    // A server may give empty pages at the end, and must not give them for ever.
    for _ in 0..10_000 {
        let start = Instant::now();
        let (length, end) = user.history(room, from.as_deref())?;
        latencies.push(milliseconds(start.elapsed()));
        events += length;
        from = end;
        if from.is_none() || length == 0 {
            break;
        }
    }
    ensure!(events > 0, "the history is empty");
    Ok(events)
}
