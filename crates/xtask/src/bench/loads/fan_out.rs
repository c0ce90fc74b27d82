//! One message into a room with thousands of waiting sliding syncs: what each answer costs the server, and how long others
//! wait for theirs meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Goal, Load, Prepared, Site, Unit, Writes,
    waiting::{allow_many_files, begin, members},
};
use crate::bench::{
    matrix::{User, room_list},
    measure::{Sample, measure, milliseconds, quantile},
};

pub(super) const COST: Load = Load {
    name: "fan-out",
    title: "one message to 5,000 waiting sliding syncs: server CPU of an answer",
    unit: Unit::Microseconds,
    goal: Goal::AtMost(30.0),
    writes: Writes::Nothing,
    prepare: |site| {
        prepared(site, |site, crowd| {
            let (answers, cost) = measure(site.server, || crowd.tell())?;
            let cpu = cost.server.context("the server runs elsewhere")?.cpu;
            let value = cpu.as_secs_f64() * 1e6 / answers.max(1) as f64;
            Ok(Sample { value, latencies: Vec::new(), requests: answers, cost })
        })
    },
};

pub(super) const OTHERS: Load = Load {
    name: "fan-out-others",
    title: "95 % of other users' sliding syncs meanwhile",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(20.0),
    writes: Writes::Nothing,
    prepare: |site| {
        prepared(site, |site, crowd| {
            let mut other = site.server.user()?;
            other.create_room()?;
            let over = AtomicBool::new(false);
            let (latencies, cost) = measure(site.server, || {
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ask(&mut other, &over));
                    let told = crowd.tell();
                    over.store(true, Ordering::Release);
                    let latencies = asking.join().ok().context("a thread of the client panicked")?;
                    told.and(latencies)
                })
            })?;
            let value = quantile(&latencies, 0.95);
            Ok(Sample { value, requests: latencies.len(), latencies, cost })
        })
    },
};

/// Asks for what is new, every few milliseconds, until told that it is over.
fn ask(user: &mut User, over: &AtomicBool) -> Result<Vec<f64>> {
    let body = room_list("other", 20);
    let mut pos = user.sliding_now(&body, None)?.token()?;
    let mut latencies = Vec::new();
    while !over.load(Ordering::Acquire) || latencies.is_empty() {
        let start = Instant::now();
        pos = user.sliding_now(&body, Some(&pos))?.token()?;
        latencies.push(milliseconds(start.elapsed()));
        thread::sleep(Duration::from_millis(2));
    }
    Ok(latencies)
}

/// A room whose members wait.
struct Crowd {
    sender: User,
    room: String,
    users: Vec<User>,
    waiting: Vec<User>,
    /// Those who were told: clients keep their connections, and to end thousands of them is no part of telling.
    answered: Vec<User>,
    told: usize,
}

fn prepared<'a>(
    site: &'a Site<'a>,
    round: impl Fn(&Site<'_>, &mut Crowd) -> Result<Sample> + 'a,
) -> Result<Prepared<'a>> {
    if site.program.is_none() {
        return Ok(Prepared::Absent("runs elsewhere"));
    }
    let mut sender = site.server.user()?;
    if !sender.has_sliding_sync()? {
        return Ok(Prepared::Absent("has no sliding sync"));
    }
    allow_many_files()?;
    let room = sender.create_public_room()?;
    let users = members(site, site.sizes.crowd.0, Some(&room))?;
    let mut crowd = Crowd { sender, room, users, waiting: Vec::new(), answered: Vec::new(), told: 0 };
    Ok(Prepared::Rounds(Box::new(move || {
        crowd.answered.clear();
        crowd.waiting = begin(site, &crowd.users, site.sizes.crowd.1)?;
        round(site, &mut crowd)
    })))
}

impl Crowd {
    /// Sends one message and receives every answer; how many there were.
    fn tell(&mut self) -> Result<usize> {
        self.told += 1;
        let words = format!("Message number {} to a crowd", self.told);
        self.sender.send(&self.room, &words)?;
        for mut user in std::mem::take(&mut self.waiting) {
            let answer = user.answer()?;
            ensure!(answer.says(&words), "a sync was answered without the message");
            self.answered.push(user);
        }
        Ok(self.answered.len())
    }
}
