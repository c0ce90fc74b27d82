//! `GET /.well-known/matrix/support`
//! <https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Error;

/// How to reach who runs this server, where the operator says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Support {
    /// People, or the roles that they have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// A page with help for users of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_page: Option<String>,
}

/// A way to reach an administrator.
#[derive(Clone, Debug, Serialize)]
pub struct Contact {
    /// Their user id, on this server or another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<String>,
    /// Their e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
    /// What they are to be asked: `m.role.admin`, `m.role.security`, or a namespaced identifier.
    pub role: String,
}

/// Tells whom to ask; not found where the operator names nobody.
pub(crate) async fn get(State(support): State<Arc<Support>>) -> Result<Json<Support>, Error> {
    if support.contacts.is_empty() && support.support_page.is_none() {
        return Err(Error::not_found("This server's operator has named no contact."));
    }
    Ok(Json(Support::clone(&support)))
}
