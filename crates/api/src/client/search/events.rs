//! `POST /_matrix/client/v3/search`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_runtime::Env;
use myelin_search::{ContextRequest, Found, GroupKey, Key, Order, Search, SearchRequest, Token};
use myelin_sync_core::event_filter::EventFilterBody;
use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Body;
use crate::client::rooms::viewer;

/// How many results an answer has where the client does not say.
const USUAL_LIMIT: usize = 10;
/// How many events a context has on each side where the client does not say.
const USUAL_CONTEXT: usize = 5;

#[derive(Deserialize)]
pub(crate) struct Place {
    next_batch: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    search_categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    room_events: Option<Criteria>,
}

/// All but the term may be left out, or null.
#[derive(Deserialize)]
struct Criteria {
    search_term: String,
    keys: Option<Vec<KeyName>>,
    filter: Option<EventFilterBody>,
    order_by: Option<OrderName>,
    event_context: Option<ContextWanted>,
    include_state: Option<bool>,
    groupings: Option<Groupings>,
}

#[derive(Clone, Copy, Deserialize)]
enum KeyName {
    #[serde(rename = "content.body")]
    Body,
    #[serde(rename = "content.name")]
    Name,
    #[serde(rename = "content.topic")]
    Topic,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderName {
    Rank,
    Recent,
}

#[derive(Deserialize)]
struct ContextWanted {
    before_limit: Option<u64>,
    after_limit: Option<u64>,
    include_profile: Option<bool>,
}

#[derive(Deserialize)]
struct Groupings {
    #[serde(default)]
    group_by: Vec<Grouping>,
}

#[derive(Deserialize)]
struct Grouping {
    key: GroupName,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GroupName {
    RoomId,
    Sender,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    search_categories: Results,
}

#[derive(Serialize)]
struct Results {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_events: Option<Found>,
}

pub(crate) async fn post(
    State(search): State<Arc<Search>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Query(place): Query<Place>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Answer>, Error> {
    let room_events = match wanted.search_categories.room_events {
        Some(criteria) => {
            let request = request(criteria, place.next_batch)?;
            Some(search.search(&viewer(requester, &env), &request).await?)
        }
        None => None,
    };
    Ok(Json(Answer { search_categories: Results { room_events } }))
}

fn request(criteria: Criteria, next_batch: Option<String>) -> Result<SearchRequest, Error> {
    // Some clients send an empty token for none.
    let from = next_batch.filter(|token| !token.is_empty());
    let from: Option<Token> = from
        .map(|token| token.parse())
        .transpose()
        .map_err(|error| Error::invalid_param(format!("{error}.")))?;
    let mut filter = criteria.filter.unwrap_or_default();
    let group_by = criteria.groupings.map(|groupings| groupings.group_by).unwrap_or_default();
    let mut group_by: Vec<GroupKey> = group_by.iter().map(|grouping| grouping.key.into()).collect();
    group_by.sort_unstable();
    group_by.dedup();
    let limit = filter.limit.map(count);
    if limit == Some(0) {
        return Err(Error::invalid_param("A page of no results was asked for: `limit` is 0."));
    }
    Ok(SearchRequest {
        term: criteria.search_term,
        keys: criteria.keys.map_or(Key::ALL.to_vec(), |keys| keys.into_iter().map(Into::into).collect()),
        rooms: filter.rooms.take().map(room_ids),
        not_rooms: filter.not_rooms.take().map(room_ids).unwrap_or_default(),
        limit: limit.unwrap_or(USUAL_LIMIT),
        events: filter.into(),
        order: match criteria.order_by {
            Some(OrderName::Recent) => Order::Recent,
            Some(OrderName::Rank) | None => Order::Rank,
        },
        context: criteria.event_context.map(|context| ContextRequest {
            before: context.before_limit.map_or(USUAL_CONTEXT, count),
            after: context.after_limit.map_or(USUAL_CONTEXT, count),
            include_profile: context.include_profile.unwrap_or(false),
        }),
        include_state: criteria.include_state.unwrap_or(false),
        group_by,
        from,
    })
}

/// Rooms that a filter names; what is no room's id names none.
fn room_ids(names: Vec<String>) -> Vec<OwnedRoomId> {
    names.into_iter().filter_map(|name| name.try_into().ok()).collect()
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl From<KeyName> for Key {
    fn from(name: KeyName) -> Self {
        match name {
            KeyName::Body => Self::Body,
            KeyName::Name => Self::Name,
            KeyName::Topic => Self::Topic,
        }
    }
}

impl From<GroupName> for GroupKey {
    fn from(name: GroupName) -> Self {
        match name {
            GroupName::RoomId => Self::RoomId,
            GroupName::Sender => Self::Sender,
        }
    }
}
