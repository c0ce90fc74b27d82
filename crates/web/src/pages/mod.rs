//! One file for each page.

pub(crate) mod account;
pub(crate) mod authorize;
pub(crate) mod done;
pub(crate) mod forgot;
pub(crate) mod link;
pub(crate) mod passkey_script;
pub(crate) mod second_step;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod sign_up;
pub(crate) mod sso;
pub(crate) mod terms;
pub(crate) mod upstream;

use maud::{Markup, html};
use myelin_oauth_core::client::ClientMetadata;

use crate::browser::Visit;

/// What people call the client: its name, or its host.
fn name_of<'c>(client: &'c ClientMetadata, visit: &Visit) -> &'c str {
    client.client_name.get(visit.language.tag()).unwrap_or_else(|| client.client_uri.host())
}

/// A client's name, which it chose itself: it stands out, and can't turn the text around it.
pub(crate) fn named(name: &str) -> Markup {
    html! { strong { bdi { (name) } } }
}

/// What went wrong with a form that is shown again.
pub(crate) fn alert(message: Option<Markup>) -> Markup {
    html! { @if let Some(message) = message { p.alert role="alert" { (message) } } }
}
