//! `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Rooms, SpaceRoom, TreeRequest};
use ruma::api::client::space::get_hierarchy::v1::Request;
use serde::Serialize;

use crate::Error;
use crate::access::Asks;
use crate::args::Args;

/// How many rooms a page holds where the client does not say, and at most.
const USUAL_LIMIT: u64 = 50;

#[derive(Serialize)]
pub(crate) struct Body {
    rooms: Vec<SpaceRoom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// A place in the walk through a tree, with the questions that must stay the same until its end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Token {
    offset: usize,
    max_depth: Option<u64>,
    suggested_only: bool,
}

impl Token {
    fn text(self) -> String {
        let depth = self.max_depth.map_or_else(|| "all".to_owned(), |depth| depth.to_string());
        format!("h1_{}_{depth}_{}", self.offset, u8::from(self.suggested_only))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("h1_")?.split('_');
        let (offset, depth, suggested) = (parts.next()?, parts.next()?, parts.next()?);
        let max_depth = if depth == "all" { None } else { Some(depth.parse().ok()?) };
        let suggested_only = match suggested {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        parts.next().is_none().then_some(Self { offset: offset.parse().ok()?, max_depth, suggested_only })
    }
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Body>, Error> {
    let first = Token {
        offset: 0,
        max_depth: request.max_depth.map(u64::from),
        suggested_only: request.suggested_only,
    };
    let token = match &request.from {
        None => first,
        Some(text) => {
            let token = Token::parse(text)
                .ok_or_else(|| Error::invalid_param("`from` is not a token that this server gave out."))?;
            if (Token { offset: 0, ..token }) != first {
                let message = "`suggested_only` and `max_depth` can't change from page to page.";
                return Err(Error::invalid_param(message));
            }
            token
        }
    };
    let limit = request.limit.map_or(USUAL_LIMIT, u64::from).min(USUAL_LIMIT);
    if limit == 0 {
        return Err(Error::invalid_param("`limit` must be greater than 0."));
    }
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let tree = TreeRequest {
        suggested_only: token.suggested_only,
        max_depth: token.max_depth.map_or(usize::MAX, size),
        offset: token.offset,
        limit: size(limit),
    };
    let (rooms, more) = rooms.hierarchy(&requester.user_id, &request.room_id, tree).await?;
    let next = Token { offset: token.offset.saturating_add(rooms.len()), ..token };
    Ok(Json(Body { rooms, next_batch: more.then(|| next.text()) }))
}
