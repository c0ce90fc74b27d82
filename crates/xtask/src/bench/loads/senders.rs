//! Many users that send without pause, each after the answer to the message before: into one room, or each into their own.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    matrix::User,
    measure::{Sample, measure, milliseconds},
    parallel,
};

pub(super) const ONE_ROOM: Load = Load {
    name: "senders-one-room",
    title: "32 senders, one room",
    unit: Unit::EventsPerSecond,
    goal: Goal::AtLeast(2000.0),
    writes: Writes::EachRequest,
    prepare: |site| {
        let mut users = site.server.users(site.sizes.senders)?;
        let room = users[0].create_public_room()?;
        users[1..].iter_mut().try_for_each(|user| user.join(&room))?;
        let mut senders: Vec<Sender> =
            users.into_iter().map(|user| Sender { user, room: room.clone() }).collect();
        Ok(Prepared::Rounds(Box::new(move || round(site, &mut senders))))
    },
};

pub(super) const MANY_ROOMS: Load = Load {
    name: "senders-many-rooms",
    title: "32 senders, 32 rooms",
    unit: Unit::EventsPerSecond,
    goal: Goal::AtLeast(3000.0),
    writes: Writes::EachRequest,
    prepare: |site| {
        let users = site.server.users(site.sizes.senders)?;
        let senders = users.into_iter().map(|mut user| {
            let room = user.create_room()?;
            Ok(Sender { user, room })
        });
        let mut senders = senders.collect::<Result<Vec<_>>>()?;
        Ok(Prepared::Rounds(Box::new(move || round(site, &mut senders))))
    },
};

struct Sender {
    user: User,
    room: String,
}

/// All send until the time is over; the figure is the acknowledged messages by the time until the last of them.
fn round(site: &Site<'_>, senders: &mut [Sender]) -> Result<Sample> {
    let ((latencies, took), cost) = measure(site.server, || {
        let start = Instant::now();
        let sent = parallel::each(senders, |sender, begin| {
            begin.wait();
            sender.send_until(site.sizes.sending)
        })?;
        Ok((sent.concat(), start.elapsed()))
    })?;
    let value = latencies.len() as f64 / took.as_secs_f64();
    Ok(Sample { value, requests: latencies.len(), latencies, cost })
}

impl Sender {
    fn send_until(&mut self, time: Duration) -> Result<Vec<f64>> {
        let begin = Instant::now();
        let mut latencies = Vec::new();
        while begin.elapsed() < time {
            let start = Instant::now();
            self.user.send(&self.room, "One of many that talk at the same time.")?;
            latencies.push(milliseconds(start.elapsed()));
        }
        Ok(latencies)
    }
}
