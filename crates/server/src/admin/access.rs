//! Commands about who gets in: invitations, sessions, clients.

use myelin_api::admin::shown::{client, invitation_link, registration_token, session};
use myelin_auth::{Actor, NewRegistrationToken};
use ruma::OwnedDeviceId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{text, user_id};
use crate::compose::Server;

/// What is done about who gets in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessAction {
    /// Invites somebody to make an account, by a link.
    Invite {
        /// Whether the account administers the server.
        admin: bool,
        /// How many seconds the link is good.
        lifetime: u64,
    },
    /// Lists the sessions of a user, with their clients.
    Sessions {
        /// Their name.
        name: String,
    },
    /// Ends one session of a user, with its device.
    EndSession {
        /// Their name.
        name: String,
        /// The device.
        device_id: String,
    },
    /// Ends every session of a user, on the pages too.
    EndSessions {
        /// Their name.
        name: String,
    },
    /// Lists the clients that registered themselves.
    Clients {
        /// Those after this id.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Removes a client, and ends the sessions that were granted to it.
    RemoveClient {
        /// Its id.
        client_id: String,
    },
}

pub(super) async fn run(server: &Server, action: AccessAction) -> Result<Value, String> {
    let (auth, actor) = (&server.auth, Actor::Operator);
    match action {
        AccessAction::Invite { admin, lifetime } => {
            if !auth.config().oauth.enabled {
                return Err(
                    "invitations lead to the pages, which oauth.enabled = false switches off".to_owned()
                );
            }
            let millis = i64::try_from(lifetime.saturating_mul(1_000)).unwrap_or(i64::MAX);
            let shown = auth.invite(&actor, admin, millis).await.map_err(text)?;
            Ok(json!({ "link": invitation_link(&auth.config().public_url, shown.expose()) }))
        }
        AccessAction::Sessions { name } => {
            let user_id = user_id(server, &name)?;
            auth.account(&user_id).await.map_err(text)?.ok_or("there is no such account")?;
            Ok(auth.sessions_of(&user_id).await.map_err(text)?.iter().map(session).collect())
        }
        AccessAction::EndSession { name, device_id } => {
            let (user_id, device_id) = (user_id(server, &name)?, OwnedDeviceId::from(device_id));
            if !auth.end_session(&actor, &user_id, &device_id).await.map_err(text)? {
                return Err("the user has no such device".to_owned());
            }
            Ok(Value::Null)
        }
        AccessAction::EndSessions { name } => {
            let ended = auth.end_sessions(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(json!({ "ended": ended }))
        }
        AccessAction::Clients { after, limit } => {
            let clients = auth.oauth_clients(after.as_deref(), limit.clamp(1, 1_000)).await.map_err(text)?;
            Ok(clients.iter().map(client).collect())
        }
        AccessAction::RemoveClient { client_id } => {
            let ended = auth.remove_client(&actor, &client_id).await.map_err(text)?;
            let ended = ended.ok_or("there is no such client")?;
            Ok(json!({ "ended": ended }))
        }
    }
}

pub(super) async fn add_token(
    server: &Server,
    token: Option<String>,
    uses: Option<u32>,
    lifetime: Option<u64>,
) -> Result<Value, String> {
    let now = i64::try_from(server.state.env.clock.now()).unwrap_or(i64::MAX);
    let expires_at = lifetime.map(|seconds| now.saturating_add_unsigned(seconds.saturating_mul(1_000)));
    let new = NewRegistrationToken { token, uses_allowed: uses.map(i64::from), expires_at };
    Ok(registration_token(&server.auth.create_registration_token(&Actor::Operator, new).await.map_err(text)?))
}

pub(super) async fn tokens(server: &Server) -> Result<Value, String> {
    let tokens = server.auth.registration_tokens(None, 1_000).await.map_err(text)?;
    Ok(tokens.iter().map(registration_token).collect())
}

pub(super) async fn delete_token(server: &Server, token: &str) -> Result<Value, String> {
    if !server.auth.delete_registration_token(&Actor::Operator, token).await.map_err(text)? {
        return Err("there is no such registration token".to_owned());
    }
    Ok(Value::Null)
}
