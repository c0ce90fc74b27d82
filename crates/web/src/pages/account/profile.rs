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
use super::picture;
use crate::browser::Visit;
use crate::problem::Problem;
use crate::wish::Wish;

/// The longest name, in characters of the form.
const MAX_NAME: usize = 255;

/// Shows name and picture.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    shown(visit, browser, StatusCode::OK, &html! {}).await
}

/// The page, with what became of something.
pub(super) async fn shown(
    visit: &Visit,
    browser: &Browser,
    status: StatusCode,
    message: &Markup,
) -> Result<Response, Problem> {
    let name = field(visit, browser, &ProfileKey::DisplayName).await?.unwrap_or_default();
    form(visit, browser, &name, (status, message)).await
}

/// Changes the name, of which an empty one is none; or takes the picture away.
pub(super) async fn save(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let say = &visit.messages().profile;
    let text = |name| fields.get(name).ok().flatten().unwrap_or_default().trim().to_owned();
    let requester = visit.pages.auth.acting(browser).await?;
    let users = &visit.pages.users;
    if requester.is_suspended {
        let message = alert(Some(html! { (say.suspended) }));
        return shown(visit, browser, StatusCode::FORBIDDEN, &message).await;
    }
    if !text("remove_picture").is_empty() {
        let removed = users.delete_profile_field(&requester, &browser.user_id, &ProfileKey::AvatarUrl).await;
        removed.map_err(|error| failed(&error))?;
        return shown(visit, browser, StatusCode::OK, &note(Some(&say.picture_removed))).await;
    }
    let (name, key) = (text("display_name"), ProfileKey::DisplayName);
    let changed = match to_raw_value(&name) {
        Ok(value) if !name.is_empty() => {
            users.set_profile_field(&requester, &browser.user_id, &key, &value).await
        }
        _ => users.delete_profile_field(&requester, &browser.user_id, &key).await,
    };
    match changed {
        Ok(()) => form(visit, browser, &name, (StatusCode::OK, &note(Some(&say.saved)))).await,
        Err(ProfileError::Value(_) | ProfileError::TooLarge) => {
            let message = alert(Some(html! { (say.too_long) }));
            form(visit, browser, &name, (StatusCode::BAD_REQUEST, &message)).await
        }
        Err(error) => Err(failed(&error)),
    }
}

/// A field of the profile that is text.
pub(super) async fn field(
    visit: &Visit,
    browser: &Browser,
    key: &ProfileKey,
) -> Result<Option<String>, Problem> {
    let found = visit.pages.users.profile_field(&browser.user_id, key).await;
    let found = found.map_err(|error| failed(&error))?;
    Ok(found.and_then(|value| serde_json::from_str(value.get()).ok()))
}

pub(super) fn failed(error: &ProfileError) -> Problem {
    tracing::error!(%error, "a profile could not be read or changed");
    Problem::Failed
}

async fn form(
    visit: &Visit,
    browser: &Browser,
    name: &str,
    (status, message): (StatusCode, &Markup),
) -> Result<Response, Problem> {
    let say = &visit.messages().profile;
    let has_picture = field(visit, browser, &ProfileKey::AvatarUrl).await?.is_some();
    let body = html! {
        (message)
        (picture::part(visit, browser, has_picture))
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
    Ok(visit.page_with_picture(status, html! { (say.title) }, body))
}
