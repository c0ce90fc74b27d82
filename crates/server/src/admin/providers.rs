//! What an operator learns of providers.

use myelin_auth::{UpstreamError, UpstreamProvider};
use serde_json::{Value, json};

use crate::compose::Server;

/// The configured providers, and what is to be registered there.
pub(super) fn list(server: &Server) -> Value {
    server.auth.providers().iter().map(|provider| line(server, provider)).collect()
}

fn line(server: &Server, provider: &UpstreamProvider) -> Value {
    json!({
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "sign_up": provider.sign_up,
        "redirect_uri": server.auth.redirect_uri(provider),
        "backchannel_logout_uri": server.auth.logout_uri(provider),
    })
}

/// Asks one of them, or all.
pub(super) async fn check(server: &Server, id: Option<&str>) -> Result<Value, String> {
    let asked = server.auth.providers().iter().filter(|provider| id.is_none_or(|id| provider.id == id));
    let mut lines = Vec::new();
    for provider in asked {
        let mut line = line(server, provider);
        match server.auth.check_provider(&provider.id).await {
            Ok(state) => {
                line["works"] = true.into();
                line["authorization_endpoint"] = state.authorization_endpoint.into();
                line["keys"] = state.keys.into();
                line["knows_pkce"] = state.knows_pkce.into();
                line["tells_of_logouts"] = state.tells_of_logouts.into();
            }
            Err(UpstreamError::Provider(problem)) => {
                line["works"] = false.into();
                line["problem"] = problem.into();
            }
            Err(error) => return Err(error.to_string()),
        }
        lines.push(line);
    }
    if lines.is_empty() {
        Err("there is no such provider in the configuration".to_owned())
    } else {
        Ok(lines.into())
    }
}
