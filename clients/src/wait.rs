//! Waiting for what a client sees, without sleeping.

use std::pin::pin;
use std::time::Duration;

use anyhow::bail;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{broadcast, watch};

/// How long anything awaited may take. Restarts of the server and the SDK's own back-off lie within.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is what it looks for: at once, and again whenever `ticks` yields. `look` says what it misses.
///
/// # Errors
/// When [`PATIENCE`] is over or the ticks end; the error tells what was missing at the last look.
pub async fn until<T, R>(
    what: &str,
    ticks: impl Stream<Item = T>,
    mut look: impl AsyncFnMut() -> Result<R, String>,
) -> anyhow::Result<R> {
    let mut ticks = pin!(ticks);
    let mut missing = String::from("never looked");
    let watching = async {
        loop {
            match look().await {
                Ok(found) => return Some(found),
                Err(why) => missing = why,
            }
            ticks.next().await?;
        }
    };
    match tokio::time::timeout(PATIENCE, watching).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => bail!("{what}: nothing more to wait on; {missing}"),
        Err(_) => bail!("{what}: not within {PATIENCE:?}; {missing}"),
    }
}

/// A future that has to be over within [`PATIENCE`].
///
/// # Errors
/// When it is not, or with the future's own error.
pub async fn in_time<R, E: Into<anyhow::Error>>(
    what: &str,
    work: impl Future<Output = Result<R, E>>,
) -> anyhow::Result<R> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(outcome) => outcome.map_err(|error| error.into().context(what.to_owned())),
        Err(_) => bail!("{what}: not within {PATIENCE:?}"),
    }
}

/// A tick for every message of a broadcast channel, and for what was missed of it.
pub fn broadcasts<T: Clone>(receiver: broadcast::Receiver<T>) -> impl Stream<Item = ()> {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => Some(((), receiver)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

/// A tick for every change of a watched value.
pub fn changes<T>(receiver: watch::Receiver<T>) -> impl Stream<Item = ()> {
    stream::unfold(receiver, |mut receiver| async move {
        let changed = receiver.changed().await;
        changed.is_ok().then_some(((), receiver))
    })
}

/// A tick now and then, for what nothing else announces.
pub fn now_and_then() -> impl Stream<Item = ()> {
    stream::unfold(tokio::time::interval(Duration::from_millis(500)), |mut interval| async move {
        interval.tick().await;
        Some(((), interval))
    })
}
