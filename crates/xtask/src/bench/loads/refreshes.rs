//! Clients of OAuth 2.0 that renew their tokens without pause, each after the answer to the time before.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Goal, Load, Prepared, Unit, Writes};
use crate::bench::{
    http::Connection,
    measure::{Sample, measure, milliseconds},
    oauth::{Browser, Session, is_native, register_client},
    parallel,
};

pub(super) const LOAD: Load = Load {
    name: "refreshes",
    title: "32 clients renewing their tokens",
    unit: Unit::RequestsPerSecond,
    goal: Goal::AtLeast(500.0),
    writes: Writes::EachRequest,
    prepare: |site| {
        if !is_native(&site.server.address)? {
            return Ok(Prepared::Absent("has no login server of its own"));
        }
        let client_id = register_client(&site.server.address)?;
        let mut clients = parallel::map(site.sizes.senders, |_| {
            let mut browser = Browser::sign_in(&site.server.address, &site.server.person()?)?;
            let session = browser.let_in(&client_id, "RENEWSOFTEN")?;
            Ok((session, Connection::new(&site.server.address)))
        })?;
        Ok(Prepared::Rounds(Box::new(move || {
            let ((latencies, took), cost) = measure(site.server, || {
                let start = Instant::now();
                let renewed = parallel::each(&mut clients, |(session, connection), begin| {
                    begin.wait();
                    renew(session, connection, site.sizes.sending)
                })?;
                Ok((renewed.concat(), start.elapsed()))
            })?;
            let value = latencies.len() as f64 / took.as_secs_f64();
            Ok(Sample { value, requests: latencies.len(), latencies, cost })
        })))
    },
};

fn renew(session: &mut Session, connection: &mut Connection, time: Duration) -> Result<Vec<f64>> {
    let begin = Instant::now();
    let mut latencies = Vec::new();
    while begin.elapsed() < time {
        let start = Instant::now();
        session.refresh(connection)?;
        latencies.push(milliseconds(start.elapsed()));
    }
    Ok(latencies)
}
