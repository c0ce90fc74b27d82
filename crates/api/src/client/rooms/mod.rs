//! Rooms: making, changing and reading them.

pub(crate) mod aliases;
pub(crate) mod ban;
pub(crate) mod context;
pub(crate) mod create;
mod error;
pub(crate) mod event;
pub(crate) mod forget;
pub(crate) mod hierarchy;
pub(crate) mod initial_sync;
pub(crate) mod invite;
pub(crate) mod join;
pub(crate) mod joined_members;
pub(crate) mod joined_rooms;
pub(crate) mod kick;
pub(crate) mod knock;
pub(crate) mod leave;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod on_bind;
pub(crate) mod redact;
pub(crate) mod relations;
mod removal;
pub(crate) mod send;
pub(crate) mod state;
pub(crate) mod state_event;
pub(crate) mod state_put;
pub(crate) mod sticky;
pub(crate) mod summary;
mod suspended;
pub(crate) mod threads;
pub(crate) mod timestamp_to_event;
pub(crate) mod unban;
pub(crate) mod upgrade;

use myelin_model::Requester;
use myelin_rooms::PageFilter;
use myelin_runtime::Env;
use myelin_sync_core::event_filter::EventFilterBody;
use myelin_timeline::Viewer;

use crate::Error;
use crate::body::parse;

/// On whose behalf a room is read.
pub(crate) fn viewer(requester: Requester, env: &Env) -> Viewer {
    let now = i64::try_from(env.clock.now()).unwrap_or(i64::MAX);
    Viewer { user_id: requester.user_id, session: Some(requester.session), now }
}

/// The filter in a query.
pub(crate) fn page_filter(text: Option<&str>) -> Result<PageFilter, Error> {
    let body: Option<EventFilterBody> =
        text.map(|filter| parse(filter.as_bytes())).transpose().map_err(|_| {
            Error::invalid_param("`filter` is not a JSON object in the form of a RoomEventFilter.")
        })?;
    let body = body.unwrap_or_default();
    Ok(PageFilter { lazy_members: body.lazy_load_members == Some(true), events: body.into() })
}
