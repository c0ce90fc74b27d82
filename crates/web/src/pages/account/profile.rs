//! How others see who has the account.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::Browser;
use myelin_oauth_core::params::Params;
use myelin_users::{ProfileError, ProfileKey};
use serde_json::value::to_raw_value;

use super::super::alert;
use super::menu::{framed, note};
use crate::browser::Visit;
use crate::problem::Problem;
use crate::wish::Wish;

/// The longest name, in characters of the form.
const MAX_NAME: usize = 255;

/// Shows the name.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    let name = name_of(visit, browser).await?;
    Ok(form(visit, browser, &name, StatusCode::OK, &html! {}))
}

/// Changes the name. An empty one is none.
pub(super) async fn save(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let say = &visit.messages().profile;
    let name = fields.get("display_name").ok().flatten().unwrap_or_default().trim().to_owned();
    let requester = visit.pages.auth.acting(browser).await?;
    if requester.is_suspended {
        let message = alert(Some(html! { (say.suspended) }));
        return Ok(form(visit, browser, &name, StatusCode::FORBIDDEN, &message));
    }
    let (users, key) = (&visit.pages.users, ProfileKey::DisplayName);
    let changed = match to_raw_value(&name) {
        Ok(value) if !name.is_empty() => {
            users.set_profile_field(&requester, &browser.user_id, &key, &value).await
        }
        _ => users.delete_profile_field(&requester, &browser.user_id, &key).await,
    };
    match changed {
        Ok(()) => Ok(form(visit, browser, &name, StatusCode::OK, &note(Some(&say.saved)))),
        Err(ProfileError::Value(_) | ProfileError::TooLarge) => {
            let message = alert(Some(html! { (say.too_long) }));
            Ok(form(visit, browser, &name, StatusCode::BAD_REQUEST, &message))
        }
        Err(error) => Err(failed(&error)),
    }
}

async fn name_of(visit: &Visit, browser: &Browser) -> Result<String, Problem> {
    let found = visit.pages.users.profile_field(&browser.user_id, &ProfileKey::DisplayName).await;
    let found = found.map_err(|error| failed(&error))?;
    Ok(found.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default())
}

fn failed(error: &ProfileError) -> Problem {
    tracing::error!(%error, "a profile could not be read or changed");
    Problem::Failed
}

fn form(visit: &Visit, browser: &Browser, name: &str, status: StatusCode, message: &Markup) -> Response {
    let say = &visit.messages().profile;
    let body = html! {
        (message)
        form method="post" action=(Wish::Profile.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            div.field {
                label for="display_name" { (say.name) }
                input #display_name name="display_name" value=(name) autocomplete="nickname" maxlength=(MAX_NAME)
                    aria-describedby="name_hint";
                small #name_hint { (say.name_hint) }
            }
            button { (say.save) }
        }
    };
    let body = framed(visit, browser, &Wish::Profile, &body);
    visit.page_with(status, html! { (say.title) }, body, None)
}
