//! One file for each page.

pub(crate) mod account;
pub(crate) mod authorize;
pub(crate) mod done;
pub(crate) mod forgot;
pub(crate) mod link;
pub(crate) mod logo;
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

/// What went wrong with a form that is shown again. It has the focus, so that who sees nothing hears it first.
pub(crate) fn alert(message: Option<Markup>) -> Markup {
    html! { @if let Some(message) = message { p.alert role="alert" tabindex="-1" autofocus { (message) } } }
}

/// The same where a field has the focus, which says it with its own name: its `aria-describedby` is what
/// [`described`] gives.
fn wrong(message: Option<Markup>) -> Markup {
    html! { @if let Some(message) = message { p.alert #wrong role="alert" { (message) } } }
}

/// The ids of what describes the field that has the focus: what was wrong with it, and its hint.
fn described(message: Option<&Markup>, hint: Option<&str>) -> Option<String> {
    let ids: Vec<_> = message.map(|_| "wrong").into_iter().chain(hint).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}
