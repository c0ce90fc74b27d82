//! `GET` and `POST /_matrix/client/v3/publicRooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{DirectoryRequest, Preview, Rooms};
use ruma::ServerName;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::args::Query;
use crate::body::Body;
use crate::state::ServerName as OwnName;

#[derive(Default, Deserialize)]
pub(crate) struct Asked {
    limit: Option<u64>,
    since: Option<String>,
    server: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    limit: Option<u64>,
    since: Option<String>,
    filter: Option<Filter>,
    include_all_networks: Option<bool>,
    third_party_instance_id: Option<String>,
}

#[derive(Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

#[derive(Serialize)]
pub(crate) struct Listed {
    chunk: Vec<Preview>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: usize,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(OwnName(own)): State<OwnName>,
    Query(asked): Query<Asked>,
) -> Result<Json<Listed>, Error> {
    check_server(&own, asked.server.as_deref())?;
    let request = DirectoryRequest {
        offset: offset(asked.since.as_deref())?,
        limit: asked.limit.map(count),
        ..DirectoryRequest::default()
    };
    list(&rooms, &request).await
}

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    State(OwnName(own)): State<OwnName>,
    Query(asked): Query<Asked>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Listed>, Error> {
    check_server(&own, asked.server.as_deref())?;
    let other_network =
        wanted.third_party_instance_id.is_some() && !wanted.include_all_networks.unwrap_or(false);
    let (search, room_types) =
        wanted.filter.map(|filter| (filter.generic_search_term, filter.room_types)).unwrap_or_default();
    let request = DirectoryRequest {
        search: search.filter(|search| !search.is_empty()),
        // No third-party network is bridged here, so there are no rooms of one.
        room_types: if other_network { Some(Vec::new()) } else { room_types },
        offset: offset(wanted.since.as_deref())?,
        limit: wanted.limit.map(count),
    };
    list(&rooms, &request).await
}

async fn list(rooms: &Rooms, request: &DirectoryRequest) -> Result<Json<Listed>, Error> {
    let page = rooms.directory(request).await?;
    let end = page.offset.saturating_add(page.rooms.len());
    let token = |offset: usize| format!("p1_{offset}");
    let size = request.limit.unwrap_or(100).min(100);
    Ok(Json(Listed {
        next_batch: (end < page.total && !page.rooms.is_empty()).then(|| token(end)),
        prev_batch: (page.offset > 0).then(|| token(page.offset.saturating_sub(size))),
        total_room_count_estimate: page.total,
        chunk: page.rooms,
    }))
}

fn check_server(own: &ServerName, server: Option<&str>) -> Result<(), Error> {
    match server {
        Some(server) if server != own.as_str() => {
            Err(Error::not_found("This server can't ask other servers for their directory."))
        }
        _ => Ok(()),
    }
}

fn offset(since: Option<&str>) -> Result<usize, Error> {
    let Some(since) = since else { return Ok(0) };
    let offset = since.strip_prefix("p1_").and_then(|offset| offset.parse().ok());
    offset.ok_or_else(|| Error::invalid_param("`since` is not a token that this server gave out."))
}

fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
