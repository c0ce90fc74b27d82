//! How what administrators look at is written, over HTTP and by the commands.

use myelin_auth::{
    AuditEntry, Auth, Connection, OwnDevice, ProviderState, RegisteredClient, RegistrationTokenInfo,
    UpstreamError, UpstreamProvider,
};
use serde_json::{Value, json};

/// A session, with its client where it has one.
#[must_use]
pub fn session(session: &OwnDevice) -> Value {
    json!({
        "device_id": session.info.device_id,
        "display_name": session.info.display_name,
        "last_seen_ip": session.info.last_seen_ip,
        "last_seen_ts": session.info.last_seen_ts,
        "client_id": session.client.as_ref().map(|client| client.client_id()),
        "client_name": session.client.as_ref().and_then(|client| client.client_name.get("en")),
    })
}

/// A client that registered itself.
#[must_use]
pub fn client(client: &RegisteredClient) -> Value {
    json!({
        "client_id": client.client_id,
        "client_name": client.metadata.client_name.get("en"),
        "client_uri": client.metadata.client_uri.host(),
        "registered_at": client.registered_at,
    })
}

/// A registration token.
#[must_use]
pub fn registration_token(info: &RegistrationTokenInfo) -> Value {
    json!({
        "token": info.token,
        "uses_allowed": info.uses_allowed,
        "pending": info.pending,
        "completed": info.completed,
        "expires_at": info.expires_at,
    })
}

/// A provider, and what is to be registered there.
#[must_use]
pub fn provider(auth: &Auth, provider: &UpstreamProvider) -> Value {
    json!({
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "sign_up": provider.sign_up,
        "redirect_uri": auth.redirect_uri(provider),
        "backchannel_logout_uri": auth.logout_uri(provider),
    })
}

/// Adds to a provider what became of asking it; what else went wrong is handed back.
///
/// # Errors
/// What is no problem of the provider's.
pub fn checked(line: &mut Value, state: Result<ProviderState, UpstreamError>) -> Result<(), UpstreamError> {
    match state {
        Ok(state) => {
            line["works"] = true.into();
            line["authorization_endpoint"] = state.authorization_endpoint.into();
            line["keys"] = state.keys.into();
            line["knows_pkce"] = state.knows_pkce.into();
            line["tells_of_logouts"] = state.tells_of_logouts.into();
            Ok(())
        }
        Err(UpstreamError::Provider(problem)) => {
            line["works"] = false.into();
            line["problem"] = problem.into();
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// An account elsewhere.
#[must_use]
pub fn connection(connection: &Connection) -> Value {
    json!({
        "provider": connection.provider,
        "subject": connection.subject,
        "name": connection.called,
        "linked_at": connection.linked_at,
    })
}

/// Something that happened to an account.
#[must_use]
pub fn audit(entry: &AuditEntry) -> Value {
    json!({
        "pos": entry.pos,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.told.to_string(),
        "detail": entry.detail,
    })
}

/// Where somebody makes an account who shows this invitation.
#[must_use]
pub fn invitation_link(public_url: &str, shown: &str) -> String {
    format!("{public_url}/oauth2/sign-up?invitation={shown}")
}
