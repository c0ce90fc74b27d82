//! Very many people who log in with their passwords at once: how long others wait for their sync meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::{
    matrix::User,
    measure::{Sample, measure, milliseconds, quantile},
    parallel,
};

pub(super) const OTHERS: Load = Load {
    name: "sign-ins-others",
    title: "95 % of another user's /v3/sync while 200 people log in with passwords",
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(20.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let address = &site.server.address;
        let mut people = parallel::map(site.sizes.sign_ins, |_| site.server.person())?;
        let mut other = site.server.user()?;
        other.create_room()?;
        Ok(Prepared::Rounds(Box::new(move || {
            let over = AtomicBool::new(false);
            let (latencies, cost) = measure(site.server, || {
                thread::scope(|scope| {
                    let asking = scope.spawn(|| ask(&mut other, &over));
                    let logged_in = parallel::each(&mut people, |who, begin| {
                        begin.wait();
                        User::log_in(address, who)
                    });
                    over.store(true, Ordering::Release);
                    let latencies = asking.join().ok().context("a thread of the client panicked")?;
                    logged_in.and(latencies)
                })
            })?;
            let value = quantile(&latencies, 0.95);
            Ok(Sample { value, requests: latencies.len(), latencies, cost })
        })))
    },
};

/// Asks for what is new, every few milliseconds, until told that it is over.
fn ask(user: &mut User, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut since = user.sync_now(None)?.token()?;
    let mut latencies = Vec::new();
    while !over.load(Ordering::Acquire) || latencies.is_empty() {
        let start = Instant::now();
        since = user.sync_now(Some(&since))?.token()?;
        latencies.push(milliseconds(start.elapsed()));
        thread::sleep(Duration::from_millis(2));
    }
    Ok(latencies)
}
