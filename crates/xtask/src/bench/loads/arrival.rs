//! From the `PUT` of a message to the moment when the last of the members who wait in a sync has it.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    matrix::{Synced, User},
    measure::{Sample, measure, median, milliseconds},
    parallel,
};

pub(super) const SYNC: Load = Load {
    name: "arrival-sync",
    title: "arrival at the last of 50 waiting /v3/sync",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(15.0),
    writes: Writes::Nothing,
    prepare: |site| rounds(site, User::sync),
};

pub(super) const SLIDING_SYNC: Load = Load {
    name: "arrival-sliding",
    title: "arrival at the last of 50 waiting sliding syncs",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(15.0),
    writes: Writes::Nothing,
    prepare: |site| {
        if site.server.user()?.has_sliding_sync()? {
            rounds(site, User::sliding_sync)
        } else {
            Ok(Prepared::Absent("has no sliding sync"))
        }
    },
};

type Sync = fn(&mut User, Option<&str>) -> Result<Synced>;

/// One who waits, or (the last of all) the one who sends.
struct Member {
    user: User,
    token: String,
}

/// When something happened to a member.
struct Arrival {
    at: Instant,
    /// Of the sender only: when the request was sent.
    sent: Option<Instant>,
    token: String,
    syncs: usize,
}

fn rounds<'a>(site: &'a Site<'a>, sync: Sync) -> Result<Prepared<'a>> {
    let mut sender = site.server.user()?;
    let room = sender.create_public_room()?;
    let joined = parallel::map(site.sizes.waiting, |_| {
        let mut user = site.server.user()?;
        user.join(&room)?;
        Ok(Member { user, token: String::new() })
    });
    let mut members = joined?;
    for member in &mut members {
        member.token = sync(&mut member.user, None)?.token()?;
    }
    members.push(Member { user: sender, token: String::new() });
    let mut next = 0;
    let round = move || {
        let ((latencies, syncs), cost) = measure(site.server, || {
            let mut latencies = Vec::new();
            let mut syncs = 0;
            for _ in 0..site.sizes.arrivals {
                next += 1;
                let words = format!("Message number {next} to all who wait.");
                let (latency, answered) = arrival(site.sizes.settling, &mut members, sync, &room, &words)?;
                latencies.push(latency);
                syncs += answered;
            }
            Ok((latencies, syncs))
        })?;
        Ok(Sample { value: median(&latencies), requests: syncs + latencies.len(), latencies, cost })
    };
    Ok(Prepared::Rounds(Box::new(round)))
}

/// Milliseconds from the request to the last answer that has the message, and how many syncs were answered.
fn arrival(
    settling: Duration,
    members: &mut [Member],
    sync: Sync,
    room: &str,
    words: &str,
) -> Result<(f64, usize)> {
    let sender = members.len() - 1;
    let mut numbered: Vec<(usize, &mut Member)> = members.iter_mut().enumerate().collect();
    let arrivals = parallel::each(&mut numbered, |(number, member), begin| {
        if *number == sender {
            member.send(begin, settling, room, words)
        } else {
            member.wait(begin, sync, words)
        }
    })?;
    for (member, arrival) in members.iter_mut().zip(&arrivals) {
        member.token.clone_from(&arrival.token);
    }
    let sent = arrivals.iter().find_map(|arrival| arrival.sent).context("nobody sent")?;
    let waiting = arrivals.iter().filter(|arrival| arrival.sent.is_none());
    ensure!(waiting.clone().all(|arrival| arrival.at > sent), "a message arrived before it was sent");
    let last = waiting.map(|arrival| arrival.at).max().context("nobody waited")?;
    Ok((milliseconds(last - sent), arrivals.iter().map(|arrival| arrival.syncs).sum()))
}

impl Member {
    /// Syncs until the message is there. What else comes first (the join of another, say) is answered by waiting on.
    fn wait(&mut self, begin: &Barrier, sync: Sync, words: &str) -> Result<Arrival> {
        begin.wait();
        let mut syncs = 0;
        loop {
            let answer = sync(&mut self.user, Some(&self.token))?;
            let at = Instant::now();
            syncs += 1;
            self.token = answer.token()?;
            if answer.says(words) {
                return Ok(Arrival { at, sent: None, token: self.token.clone(), syncs });
            }
        }
    }

    fn send(&mut self, begin: &Barrier, settling: Duration, room: &str, words: &str) -> Result<Arrival> {
        begin.wait();
        std::thread::sleep(settling);
        let sent = Instant::now();
        self.user.send(room, words)?;
        Ok(Arrival { at: Instant::now(), sent: Some(sent), token: String::new(), syncs: 0 })
    }
}
