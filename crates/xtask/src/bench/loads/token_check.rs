//! What it costs a request to say whose it is, on a server with very many sessions: each request shows the token of another one.

use std::time::Instant;

use anyhow::Result;

use super::{Goal, Load, Prepared, Site, Unit, Writes};
use crate::bench::{
    homeserver::Homeserver,
    matrix::Login,
    measure::{Sample, measure, median, milliseconds},
    oauth::{Browser, is_native, register_client},
    parallel,
};

/// How far apart in the order of their making the sessions of two requests are: so that none is near the one before.
const STRIDE: usize = 7919;

pub(super) const LOAD: Load = Load {
    name: "token-check",
    title: "what a token costs a request, 100,000 sessions: GET whoami, less GET versions",
    unit: Unit::Microseconds,
    goal: Goal::AtMost(20.0),
    writes: Writes::Nothing,
    prepare: |site| {
        let Some(program) = site.program else { return Ok(Prepared::Absent("runs elsewhere")) };
        if !is_native(&site.server.address)? {
            return Ok(Prepared::Absent("has no login server of its own"));
        }
        // On a server of its own: others are measured without so many sessions.
        let server = Homeserver::start(program, &site.folder.join("sessions"), None)?;
        let logins = log_in(site, &server)?;
        let mut user = server.user()?;
        let mut next = 0;
        Ok(Prepared::Rounds(Box::new(move || {
            let ((with, without), cost) = measure(&server, || {
                let (mut with, mut without) = (Vec::new(), Vec::new());
                for _ in 0..site.sizes.checks {
                    next = (next + STRIDE) % logins.len().max(1);
                    user.become_another(&logins[next]);
                    with.push(timed(|| user.who_am_i())?);
                    without.push(timed(|| user.versions())?);
                }
                Ok((with, without))
            })?;
            let value = (median(&with) - median(&without)) * 1000.0;
            Ok(Sample { value, requests: with.len() + without.len(), latencies: with, cost })
        })))
    },
};

/// How long a request takes, in milliseconds.
fn timed(request: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    request()?;
    Ok(milliseconds(start.elapsed()))
}

/// Has everybody log in with all their devices. Each shows its token once, as clients do: the first time is written down.
fn log_in(site: &Site<'_>, server: &Homeserver) -> Result<Vec<Login>> {
    let (people, devices) = site.sizes.sessions;
    let client_id = register_client(&server.address)?;
    let logins = parallel::map(people, |_| {
        let mut browser = Browser::sign_in(&server.address, &server.person()?)?;
        let mut user = server.user()?;
        let login = |number| {
            let login = browser.let_in(&client_id, &format!("DEVICE{number:06}"))?.login();
            user.become_another(&login);
            user.who_am_i()?;
            Ok(login)
        };
        (0..devices).map(login).collect::<Result<Vec<_>>>()
    })?;
    Ok(logins.concat())
}
