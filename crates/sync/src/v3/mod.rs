//! `/v3/sync`: all rooms of a user, and what changed in them.

mod answer;
mod filter;
mod make;
mod rooms;
mod state;

use std::time::Duration;

use bytes::Bytes;
use myelin_model::{Pos, Requester};
use myelin_store::ReadError;
use myelin_store::schema::users::Filter;
use myelin_sync_core::token::{InvalidToken, SyncToken};

use crate::Sync;
use crate::look::{Look, boxed};
use crate::service::MOST_WAIT;
use crate::users::{Quiet, Slot, View};
use crate::v3::filter::SyncFilter;
use crate::v3::make::Making;

/// A request, as its query says.
#[derive(Clone, Debug, Default)]
pub struct V3Request {
    /// Where the client stands; absent for a first sync.
    pub since: Option<String>,
    /// How long to wait for something to tell.
    pub timeout: Option<Duration>,
    /// All state of all rooms, whatever the client has.
    pub full_state: bool,
    /// A filter's JSON, or the id of one that was saved.
    pub filter: Option<String>,
    /// State as it is after the timeline rather than before (`use_state_after`, spec v1.16).
    pub use_state_after: bool,
    /// The same under its name in MSC4222.
    pub unstable_use_state_after: bool,
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum V3Error {
    /// 400 `M_INVALID_PARAM`: `since` is no token of ours.
    #[error("since: {0}")]
    Since(#[from] InvalidToken),
    /// 400 `M_INVALID_PARAM`: there is no filter with this id.
    #[error("there is no filter with this id")]
    UnknownFilter,
    /// 400 `M_INVALID_PARAM`: the filter can't be read.
    #[error("the filter can't be read: {0}")]
    BadFilter(#[source] serde_json::Error),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A request as it is worked on.
pub(crate) struct Asked<'r> {
    pub(crate) requester: &'r Requester,
    pub(crate) request: &'r V3Request,
    pub(crate) since: Option<SyncToken>,
    pub(crate) filter: SyncFilter,
}

impl Sync {
    /// Answers `/v3/sync`: at once if there is anything to tell, on a first sync and where the full state is wanted;
    /// else when there is, at the latest after the request's timeout.
    ///
    /// # Errors
    /// See [`V3Error`].
    pub async fn v3(&self, requester: &Requester, request: &V3Request) -> Result<Bytes, V3Error> {
        let since = request.since.as_deref().map(str::parse::<SyncToken>).transpose()?;
        let filter = self.filter(requester, request.filter.as_deref()).await?;
        if let (Some(since), Some(device_id)) = (&since, requester.device_id()) {
            self.inboxes.acknowledge(&requester.user_id, device_id, Pos::new(since.inbox)).await;
        }
        let at_once = since.is_none() || request.full_state;
        let wait = request.timeout.filter(|_| !at_once).unwrap_or_default().min(MOST_WAIT);
        let asked = Asked { requester, request, since, filter };
        let _waiting = self.waiters.enter();
        // The signal comes before any reading, so that no commit falls between.
        let mut signal = self.notifier.subscribe(&requester.user_id);
        let slot = self.users.slot(&requester.user_id);
        let mut limit = std::pin::pin!(tokio::time::sleep(wait));
        let mut turn = (!wait.is_zero()).then(|| self.waiters.turn(requester.session));
        loop {
            signal.borrow_and_update();
            let over = turn.is_none() || limit.is_elapsed() || self.env.tasks.is_stopping();
            let quiet = if over { Quiet::Answers } else { Quiet::Waits };
            let settled = match boxed(self.look_v3(&asked, &slot, quiet)).await? {
                Look::Answer(answer) => {
                    self.sends.answered(requester).await;
                    return Ok(answer);
                }
                Look::Nothing { settled } => settled,
            };
            if !settled {
                continue;
            }
            let given_way = async {
                match &mut turn {
                    Some(turn) => turn.over().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = given_way => turn = None,
                _ = signal.changed() => {}
                () = &mut limit => {}
                () = self.env.tasks.stopping() => {}
            }
        }
    }

    /// The answer, if there is anything to tell or it is due at once.
    async fn look_v3(&self, asked: &Asked<'_>, slot: &Slot, quiet: Quiet) -> Result<Look, V3Error> {
        let _place = slot.place().await;
        // This face always reads (account data, messages between devices), so it begins with a snapshot.
        let user_id = &asked.requester.user_id;
        let reading = self.users.read(&self.engine, user_id, slot, View::Store, quiet).await?;
        let position = reading.snapshot.position();
        if asked.since.is_some_and(|since| since.position > position.get()) {
            return Err(InvalidToken.into());
        }
        let settled = !reading.came || *self.engine.positions().borrow() <= position;
        let answer = Making { sync: self, asked }.make(reading).await?;
        if answer.is_news() || quiet == Quiet::Answers || self.waiters.is_full() {
            return Ok(Look::Answer(Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())));
        }
        Ok(Look::Nothing { settled })
    }

    async fn filter(&self, requester: &Requester, filter: Option<&str>) -> Result<SyncFilter, V3Error> {
        let Some(filter) = filter else { return SyncFilter::parse(b"{}").map_err(V3Error::BadFilter) };
        if filter.trim_start().starts_with('{') {
            return SyncFilter::parse(filter.as_bytes()).map_err(V3Error::BadFilter);
        }
        let key = (requester.user_id.clone(), filter.to_owned());
        let saved = self.engine.get_now::<Filter>(&key).await?.ok_or(V3Error::UnknownFilter)?;
        SyncFilter::parse(&saved.json).map_err(V3Error::BadFilter)
    }
}
