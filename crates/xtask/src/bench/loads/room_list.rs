//! Element X's room list on a connection that goes on: it grows, nothing happens, something happens.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Goal, Load, Prepared, Site, Unit, Writes, first_rooms::TOO_SLOW};
use crate::bench::{
    accounts::Account,
    matrix::{User, room_list},
    measure::{Sample, measure, median, milliseconds, one_by_one},
};

/// How many rooms a list grows by at once.
const STEP: usize = 100;

pub(super) const GROWN: Load = Load {
    name: "list-grown",
    title: "list of 1,000 rooms grown by 100",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(15.0),
    writes: Writes::Nothing,
    prepare: |site| {
        prepared(site, |site, account| {
            let mut user = User::resume(&site.server.address, &account.login);
            let body = |rooms| room_list("grown", rooms);
            let steps = (account.rooms.len() / STEP).max(1);
            move || {
                let mut pos = user.sliding_now(&body(20), None)?.token()?;
                let (latencies, cost) = measure(site.server, || {
                    let grow = |step: usize| {
                        let start = Instant::now();
                        let answer = user.sliding_now(&body(step * STEP), Some(&pos))?;
                        let time = milliseconds(start.elapsed());
                        pos = answer.token()?;
                        Ok(time)
                    };
                    (1..=steps).map(grow).collect::<Result<Vec<_>>>()
                })?;
                // The first step adds fewer.
                let whole = latencies.get(1..).filter(|whole| !whole.is_empty()).unwrap_or(&latencies);
                Ok(Sample { value: median(whole), requests: latencies.len(), latencies, cost })
            }
        })
    },
};

pub(super) const NOTHING_NEW: Load = Load {
    name: "list-idle",
    title: "1,000 rooms, sliding sync, nothing new",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(0.5),
    writes: Writes::Nothing,
    prepare: |site| {
        prepared(site, |site, account| {
            let (mut user, body, mut pos) = begun(site, &account, "idle");
            move || {
                one_by_one(site.server, site.sizes.syncs, || {
                    pos = user.sliding_now(&body, pos.as_deref())?.token().map(Some)?;
                    Ok(())
                })
            }
        })
    },
};

pub(super) const ONE_EVENT: Load = Load {
    name: "list-event",
    title: "1,000 rooms, sliding sync, one new event (the send not counted)",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(2.0),
    writes: Writes::Nothing,
    prepare: |site| {
        prepared(site, |site, account| {
            let (mut user, body, mut pos) = begun(site, &account, "event");
            let mut sender = User::resume(&site.server.address, &account.login);
            let mut number = 0;
            move || {
                let (latencies, cost) = measure(site.server, || {
                    let mut latencies = Vec::new();
                    for _ in 0..site.sizes.syncs {
                        number += 1;
                        let words = format!("Message number {number} of many rooms");
                        sender.send(&account.rooms[number * 7 % account.rooms.len()], &words)?;
                        let start = Instant::now();
                        let answer = user.sliding_now(&body, pos.as_deref())?;
                        latencies.push(milliseconds(start.elapsed()));
                        pos = Some(answer.token()?);
                        ensure!(number == 1 || answer.says(&words), "the message did not arrive");
                    }
                    Ok(latencies)
                })?;
                Ok(Sample { value: median(&latencies), requests: latencies.len(), latencies, cost })
            }
        })
    },
};

fn prepared<'a, R: FnMut() -> Result<Sample> + 'a>(
    site: &'a Site<'a>,
    rounds: impl FnOnce(&'a Site<'a>, Account) -> R,
) -> Result<Prepared<'a>> {
    if !site.server.user()?.has_sliding_sync()? {
        return Ok(Prepared::Absent("has no sliding sync"));
    }
    let [_, rooms, _] = site.sizes.accounts;
    let Some(account) = site.accounts.running(site, rooms)? else { return Ok(Prepared::Absent(TOO_SLOW)) };
    Ok(Prepared::Rounds(Box::new(rounds(site, account))))
}

/// A connection whose list has all rooms; the first round, which does not count, makes it whole.
fn begun(site: &Site<'_>, account: &Account, conn_id: &str) -> (User, String, Option<String>) {
    let user = User::resume(&site.server.address, &account.login);
    (user, room_list(conn_id, account.rooms.len()), None)
}
