//! Waiting for files whose URIs are there already (`timeout_ms` of downloads).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_store::schema::media::{self, MediaPending};
use ruma::ServerName;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::{Media, StorageError, now};

/// The longest that anybody waits for a file.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// How many may wait at once. One more is told at once that the file is not there yet.
const WAITERS: usize = 4096;

/// What became of a file that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was uploaded.
    Uploaded,
    /// It is still to come.
    NotYet,
    /// It will not come: there is no such URI, or it has expired.
    Never,
}

impl Media {
    /// Waits until the file behind `mxc://server/media_id` has been uploaded: as long as patience lasts, and a minute
    /// at most.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn arrival(
        &self,
        server: &ServerName,
        media_id: &str,
        patience: Duration,
    ) -> Result<Arrival, StorageError> {
        if !self.is_local(server) {
            return Ok(Arrival::Never);
        }
        // Before the look into the store: an upload in between is not missed.
        let place = self.arrivals.wait_for(media_id);
        let uploaded = place.news.notified();
        let Some(expires) = self.pending_until(media_id).await? else { return self.settled(media_id).await };
        let left = Duration::from_millis(u64::try_from(expires - now(&self.env)).unwrap_or(0));
        let patience = if place.is_late { Duration::ZERO } else { patience.min(MOST_PATIENCE).min(left) };
        // Whether it was news or the end of patience: the store says what is so now.
        let _ = timeout(patience, uploaded).await;
        match self.pending_until(media_id).await? {
            Some(expires) if expires > now(&self.env) => Ok(Arrival::NotYet),
            Some(_) => Ok(Arrival::Never),
            None => self.settled(media_id).await,
        }
    }

    async fn pending_until(&self, media_id: &str) -> Result<Option<i64>, StorageError> {
        let key = (media_id.to_owned(),);
        let row = self.engine.get_now::<MediaPending>(&key).await?;
        Ok(row.map(|row| row.expires))
    }

    async fn settled(&self, media_id: &str) -> Result<Arrival, StorageError> {
        let key = (media_id.to_owned(),);
        let row = self.engine.get_now::<media::Media>(&key).await?;
        Ok(if row.is_some() { Arrival::Uploaded } else { Arrival::Never })
    }
}

/// Who waits for which file.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// How many wait for each.
    files: HashMap<String, (Arc<Notify>, usize)>,
    all: usize,
}

impl Arrivals {
    fn wait_for(self: &Arc<Self>, media_id: &str) -> Place {
        let mut waiting = self.lock();
        waiting.all += 1;
        let is_late = waiting.all > WAITERS;
        let (news, count) = waiting.files.entry(media_id.to_owned()).or_default();
        *count += 1;
        Place { arrivals: Arc::clone(self), media_id: media_id.to_owned(), news: Arc::clone(news), is_late }
    }

    /// Wakes all who wait for this file.
    pub(crate) fn wake(&self, media_id: &str) {
        if let Some((news, _)) = self.lock().files.get(media_id) {
            news.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
struct Place {
    arrivals: Arc<Arrivals>,
    media_id: String,
    news: Arc<Notify>,
    is_late: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.arrivals.lock();
        waiting.all -= 1;
        if let Some((_, count)) = waiting.files.get_mut(&self.media_id) {
            *count -= 1;
            if *count == 0 {
                waiting.files.remove(&self.media_id);
            }
        }
    }
}
