//! Rooms: making, changing and reading them.

pub(crate) mod aliases;
pub(crate) mod ban;
pub(crate) mod context;
pub(crate) mod create;
mod error;
pub(crate) mod event;
pub(crate) mod forget;
pub(crate) mod hierarchy;
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
use myelin_sync_core::event_filter::EventFilter;
use myelin_timeline::Viewer;
use ruma::api::client::filter::{LazyLoadOptions, RoomEventFilter, UrlFilter};
use serde::Deserialize;

use crate::Error;
use crate::body::parse;

/// On whose behalf a room is read.
pub(crate) fn viewer(requester: Requester, env: &Env) -> Viewer {
    let now = i64::try_from(env.clock.now()).unwrap_or(i64::MAX);
    Viewer { user_id: requester.user_id, session: Some(requester.session), now }
}

/// A filter of room events, with what is not in the specification yet.
#[derive(Default, Deserialize)]
pub(crate) struct PageFilterBody {
    #[serde(flatten)]
    filter: RoomEventFilter,
    rel_types: Option<Vec<String>>,
    not_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: Option<Vec<String>>,
}

impl From<RoomEventFilter> for PageFilterBody {
    fn from(filter: RoomEventFilter) -> Self {
        Self { filter, ..Self::default() }
    }
}

/// The filter in a query.
pub(crate) fn filter_of(text: Option<&str>) -> Result<PageFilterBody, Error> {
    let filter = text.map(|filter| parse(filter.as_bytes())).transpose();
    let no_filter = "`filter` is not a JSON object in the form of a RoomEventFilter.";
    Ok(filter.map_err(|_| Error::invalid_param(no_filter))?.unwrap_or_default())
}

/// What of a filter a page of events regards.
pub(crate) fn page_filter(body: PageFilterBody) -> PageFilter {
    let filter = body.filter;
    let text = |users: Vec<ruma::OwnedUserId>| users.into_iter().map(Into::into).collect();
    PageFilter {
        lazy_members: matches!(filter.lazy_load_options, LazyLoadOptions::Enabled { .. }),
        events: EventFilter {
            types: filter.types,
            not_types: filter.not_types,
            senders: filter.senders.map(text),
            not_senders: text(filter.not_senders),
            contains_url: filter.url_filter.map(|wanted| wanted == UrlFilter::EventsWithUrl),
            rel_types: body.rel_types.or(body.unstable_rel_types),
            not_rel_types: body.not_rel_types.or(body.unstable_not_rel_types).unwrap_or_default(),
        },
    }
}
