//! What an operator learns of providers.

use myelin_api::admin::shown;
use myelin_auth::{Actor, Looked};
use serde_json::{Value, json};

use super::{text, user_id};
use crate::compose::Server;

/// The configured providers, and what is to be registered there.
pub(super) fn list(server: &Server) -> Value {
    server.auth.providers().iter().map(|provider| shown::provider(&server.auth, provider)).collect()
}

/// Asks one of them, or all.
pub(super) async fn check(server: &Server, id: Option<&str>) -> Result<Value, String> {
    let asked = server.auth.providers().iter().filter(|provider| id.is_none_or(|id| provider.id == id));
    let mut lines = Vec::new();
    for provider in asked {
        let mut line = shown::provider(&server.auth, provider);
        let state = server.auth.check_provider(&provider.id).await;
        shown::checked(&mut line, state).map_err(text)?;
        lines.push(line);
    }
    if lines.is_empty() {
        Err("there is no such provider in the configuration".to_owned())
    } else {
        Ok(lines.into())
    }
}

/// Looks for everybody of the directory.
pub(super) async fn look(server: &Server) -> Result<Value, String> {
    let Looked { found, missed, locked } = server.auth.look_in_directory().await.map_err(text)?;
    Ok(json!({ "found": found, "missed": missed, "locked": locked }))
}

/// A user's accounts elsewhere.
pub(super) async fn links(server: &Server, name: &str) -> Result<Value, String> {
    let user_id = user_id(server, name)?;
    server.auth.account(&user_id).await.map_err(text)?.ok_or("there is no such account")?;
    let connections = server.auth.connections_of(&user_id).await.map_err(text)?;
    Ok(connections.iter().map(shown::connection).collect())
}

/// Takes one away.
pub(super) async fn unlink(server: &Server, name: &str, provider: &str) -> Result<Value, String> {
    let user_id = user_id(server, name)?;
    if server.auth.disconnect_user(&Actor::Operator, &user_id, provider).await.map_err(text)? {
        Ok(Value::Null)
    } else {
        Err("the user is not connected with this provider".to_owned())
    }
}
