//! What is measured around the work of a round, and what becomes of the figures.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    homeserver::Homeserver,
    process::{Usage, machine_cpu, own_cpu},
};

/// What one round came to.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// The figure, in the load's unit.
    pub(crate) value: f64,
    /// How long each request took, in milliseconds, where requests were timed one by one.
    pub(crate) latencies: Vec<f64>,
    /// How many requests the server answered.
    pub(crate) requests: usize,
    pub(crate) cost: Cost,
}

/// What the round cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// What the server used; unknown for one that runs elsewhere.
    pub(crate) server: Option<Usage>,
    /// The share of all processors that neither the server nor this client used, 0 to 1: what else the machine did.
    pub(crate) others: f64,
}

/// Does the work, and says what it cost.
pub(crate) fn measure<T>(server: &Homeserver, work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let usage = || server.process.as_ref().map(super::process::Process::usage);
    let (before, own, machine, start) = (usage(), own_cpu(), machine_cpu(), Instant::now());
    let done = work()?;
    let wall = start.elapsed();
    let (machine, own) = (machine_cpu().saturating_sub(machine), own_cpu().saturating_sub(own));
    let server = usage().zip(before).map(|(after, before)| Usage {
        cpu: after.cpu.saturating_sub(before.cpu),
        written: after.written.saturating_sub(before.written),
    });
    let others = machine.saturating_sub(own).saturating_sub(server.unwrap_or_default().cpu);
    let capacity = wall.as_secs_f64() * super::machine::cores() as f64;
    let others = (others.as_secs_f64() / capacity.max(f64::MIN_POSITIVE)).min(1.0);
    Ok((done, Cost { server, others }))
}

/// Sends requests one after the other; the figure is the median of their times, in milliseconds.
pub(crate) fn one_by_one(
    server: &Homeserver,
    requests: usize,
    mut request: impl FnMut() -> Result<()>,
) -> Result<Sample> {
    let (latencies, cost) = measure(server, || {
        let timed = (0..requests).map(|_| {
            let start = Instant::now();
            request().map(|()| milliseconds(start.elapsed()))
        });
        timed.collect::<Result<Vec<_>>>()
    })?;
    Ok(Sample { value: median(&latencies), latencies, requests, cost })
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of the values lies (nearest rank, and between the two middle ones for the median
/// of an even number); 0 of nothing.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = share * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_quantile_lies_at_its_share() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
    }
}
