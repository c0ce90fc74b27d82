//! `GET /_matrix/client/v3/retention/configuration`
//! (MSC1763: <https://github.com/matrix-org/matrix-spec-proposals/pull/1763>)

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use serde_json::{Map, Value, json};

/// For how long history is kept in rooms that don't say, and what rooms may ask for, in milliseconds.
pub(crate) async fn get(State(rooms): State<Arc<Rooms>>) -> Json<Value> {
    let (mut policies, mut limits) = (Map::new(), Map::new());
    if let Some(retention) = rooms.retention() {
        let server = &retention.server;
        if let Some(default) = server.lifetime(None) {
            policies.insert("*".to_owned(), json!({ "max_lifetime": default }));
        }
        let bounds = [("min", server.allowed_min), ("max", server.allowed_max)];
        let bounds: Map<String, Value> =
            bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), bound?.into()))).collect();
        if !bounds.is_empty() {
            limits.insert("max_lifetime".to_owned(), bounds.into());
        }
    }
    Json(json!({ "policies": policies, "limits": limits }))
}
