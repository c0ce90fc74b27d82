//! What a client shows first: the newest 20 rooms of an account, as Element X asks for them on a new connection.

use std::time::Instant;

use anyhow::Result;

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    accounts::{Account, folder_of},
    homeserver::Homeserver,
    matrix::{User, room_list},
    measure::{Cost, Sample, median, milliseconds, one_by_one},
};

pub(super) const WARM: Load = Load {
    name: "first-rooms",
    title: "first 20 of 1,000 rooms",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(2.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let [_, rooms, _] = site.sizes.accounts;
        let mut user = match warm(site, rooms)? {
            Ok(user) => user,
            Err(reason) => return Ok(Prepared::Absent(reason)),
        };
        Ok(Prepared::Rounds(Box::new(move || {
            one_by_one(site.server, site.sizes.syncs, || first(&mut user).map(drop))
        })))
    },
};

pub(super) const COLD: Load = Load {
    name: "first-rooms-cold",
    title: "first 20 of 1,000 rooms, first request after a restart",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(10.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let [_, rooms, _] = site.sizes.accounts;
        let account = match cold(site, rooms)? {
            Ok(account) => account,
            Err(reason) => return Ok(Prepared::Absent(reason)),
        };
        Ok(Prepared::Rounds(Box::new(move || after_restart(site, &account).map(sample))))
    },
};

pub(super) const LARGE_WARM: Load = Load {
    name: "first-rooms-large",
    title: "first 20 of 10,000 rooms against 200 rooms",
    unit: Unit::Times,
    goal: Goal::AtMost(1.5),
    writes: Writes::Nothing,
    prepare: |site| {
        let [small, _, large] = site.sizes.accounts;
        let (mut small, mut large) = match (warm(site, small)?, warm(site, large)?) {
            (Ok(small), Ok(large)) => (small, large),
            (Err(reason), _) | (_, Err(reason)) => return Ok(Prepared::Absent(reason)),
        };
        Ok(Prepared::Rounds(Box::new(move || {
            let small = one_by_one(site.server, site.sizes.syncs, || first(&mut small).map(drop))?;
            let large = one_by_one(site.server, site.sizes.syncs, || first(&mut large).map(drop))?;
            Ok(Sample { value: large.value / small.value, ..large })
        })))
    },
};

pub(super) const LARGE_COLD: Load = Load {
    name: "first-rooms-large-cold",
    title: "first 20 of 10,000 rooms against 200 rooms, first request after a restart",
    unit: Unit::Times,
    goal: Goal::AtMost(1.5),
    writes: Writes::Nothing,
    prepare: |site| {
        let [small, _, large] = site.sizes.accounts;
        let (small, large) = match (cold(site, small)?, cold(site, large)?) {
            (Ok(small), Ok(large)) => (small, large),
            (Err(reason), _) | (_, Err(reason)) => return Ok(Prepared::Absent(reason)),
        };
        Ok(Prepared::Rounds(Box::new(move || {
            // One request has no median of its own.
            let times = |account| (0..3).map(|_| after_restart(site, account)).collect::<Result<Vec<_>>>();
            let (small, large) = (times(&small)?, times(&large)?);
            let value = median(&large) / median(&small);
            Ok(Sample { value, latencies: large, requests: 0, cost: Cost::default() })
        })))
    },
};

/// The user of an account on the running server, whose rooms the server has looked at; or why there is none.
fn warm(site: &Site<'_>, rooms: usize) -> Result<Result<User, &'static str>> {
    if !site.server.user()?.has_sliding_sync()? {
        return Ok(Err("has no sliding sync"));
    }
    let Some(account) = site.accounts.running(site, rooms)? else { return Ok(Err(TOO_SLOW)) };
    let mut user = User::resume(&site.server.address, &account.login);
    first(&mut user)?;
    Ok(Ok(user))
}

/// An account of a server that loads start; or why there is none.
fn cold(site: &Site<'_>, rooms: usize) -> Result<Result<Account, &'static str>> {
    if site.program.is_none() {
        return Ok(Err("runs elsewhere"));
    }
    Ok(site.accounts.stopped(site, rooms)?.ok_or(TOO_SLOW))
}

/// Why an account of this size is not measured.
pub(super) const TOO_SLOW: &str = "takes too long to make so many rooms";

fn first(user: &mut User) -> Result<usize> {
    // Without a `pos` the server begins anew each time.
    let body = room_list("first", 20);
    user.sliding_now(&body, None).map(|answer| answer.len())
}

/// Milliseconds of the first request to a server that was just started.
fn after_restart(site: &Site<'_>, account: &Account) -> Result<f64> {
    let Some(program) = site.program else { anyhow::bail!("the server runs elsewhere") };
    let folder = site.folder.join(folder_of(account.rooms.len()));
    let server = Homeserver::start(program, &folder, None)?;
    let mut user = User::resume(&server.address, &account.login);
    let start = Instant::now();
    first(&mut user)?;
    let time = milliseconds(start.elapsed());
    server.stop()?;
    Ok(time)
}

fn sample(value: f64) -> Sample {
    Sample { value, latencies: Vec::new(), requests: 0, cost: Cost::default() }
}
