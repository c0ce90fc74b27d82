//! Connections that wait and are told nothing: what each of them costs.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    matrix::{User, room_list},
    measure::{Sample, measure},
    parallel,
    process::Process,
};

/// How long they wait before the server's memory is read.
const REST: Duration = Duration::from_secs(3);

pub(super) const LOAD: Load = Load {
    name: "idle-connections",
    title: "memory of each of 10,000 waiting sliding syncs (plain HTTP, 1,000 users)",
    unit: Unit::Kilobytes,
    goal: Goal::AtMost(20.0),
    writes: Writes::Nothing,
    prepare: |site| {
        if site.program.is_none() {
            return Ok(Prepared::Absent("runs elsewhere"));
        }
        if !site.server.user()?.has_sliding_sync()? {
            return Ok(Prepared::Absent("has no sliding sync"));
        }
        allow_many_files()?;
        let users = members(site, site.sizes.idle.0, None)?;
        let memory = || site.server.process.as_ref().map(Process::memory);
        // Once, before the first round: what a round frees the server keeps for the next one.
        let before = memory().context("the server runs elsewhere")?;
        Ok(Prepared::Rounds(Box::new(move || {
            let waiting = begin(site, &users, site.sizes.idle.1)?;
            // The processor time of the rest is what waiting costs.
            let (after, cost) = measure(site.server, || {
                thread::sleep(REST);
                memory().context("the server runs elsewhere")
            })?;
            let value = after.saturating_sub(before) as f64 / 1e3 / waiting.len().max(1) as f64;
            drop(waiting);
            thread::sleep(REST);
            Ok(Sample { value, latencies: Vec::new(), requests: 0, cost })
        })))
    },
};

/// Each connection is an open file of this program.
pub(super) fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of open files")
}

/// Users who have one room of their own and are in another together.
pub(super) fn members(site: &Site<'_>, number: usize, room: Option<&str>) -> Result<Vec<User>> {
    parallel::map(number, |_| {
        let mut user = site.server.user()?;
        user.create_room()?;
        if let Some(room) = room {
            user.join(room)?;
        }
        Ok(user)
    })
}

/// Connections of these users, so many each, that wait in sliding sync.
pub(super) fn begin(site: &Site<'_>, users: &[User], each: usize) -> Result<Vec<User>> {
    let waiting = parallel::map(users.len() * each, |number| {
        let body = room_list(&format!("waiting-{}", number % each), 20);
        let mut user = users[number / each].another_connection(&site.server.address);
        let pos = user.sliding_now(&body, None)?.token()?;
        // What came with the first answer alone (a receipt, say) is out of the way.
        let pos = user.sliding_now(&body, Some(&pos))?.token()?;
        user.begin_sliding(&body, &pos)?;
        Ok(user)
    })?;
    // The last of them have to get as far as waiting.
    thread::sleep(site.sizes.settling);
    Ok(waiting)
}
