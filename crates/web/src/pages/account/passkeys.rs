//! The passkeys of an account.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{AccountError, Browser, Passkey, PasskeyError};
use myelin_oauth_core::params::Params;

use super::super::alert;
use super::devices::date;
use super::second_step::{done, failed, shown};
use crate::browser::Visit;
use crate::messages::fill;
use crate::passkey::{self, Answered};
use crate::problem::Problem;
use crate::wish::Wish;

/// All of them, as a part of the page on signing in.
pub(super) async fn list(visit: &Visit, browser: &Browser) -> Result<Markup, Problem> {
    let say = &visit.messages().passkey;
    let passkeys = visit.pages.auth.passkeys(browser).await?;
    Ok(html! {
        h2 { (say.title) }
        @if passkeys.is_empty() { p.soft { (say.explain) " " (say.none) } }
        ul.devices {
            @for passkey in &passkeys {
                li {
                    p { (called(visit, passkey)) }
                    (told(visit, passkey))
                    p { a href=(Wish::EditPasskey(passkey.id.clone()).path()) { (say.edit) } }
                }
            }
        }
        @if visit.pages.auth.offers_passkeys() {
            p { a href=(Wish::AddPasskey.path()) { (say.add) } }
        } @else {
            p.soft { (say.not_offered) }
        }
    })
}

/// How one is added, perhaps once more with what was wrong.
pub(super) async fn add(
    visit: &Visit,
    browser: &Browser,
    (status, message): (StatusCode, Option<Markup>),
) -> Result<Response, Problem> {
    let (say, title) = (&visit.messages().passkey, html! { (visit.messages().passkey.add_title) });
    let challenge = match visit.pages.auth.begin_passkey(browser).await {
        Ok(Some(challenge)) => challenge,
        Ok(None) => return Ok(done(visit, &say.not_offered)),
        Err(error) => {
            let message = passkey::refusal(visit, error)?;
            return Ok(visit.page_with(StatusCode::CONFLICT, title, alert(Some(message)), None));
        }
    };
    let body = html! {
        p { (say.explain) " " (say.add_explain) }
        p.soft { (visit.messages().second_step.passwords_alone) }
        noscript { p.alert { (say.needs_script) } }
        (alert(message))
        form method="post" action=(Wish::AddPasskey.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            (name(visit, ""))
            (passkey::button(visit, &challenge, &say.add_button, false))
        }
        p.foot { a href=(Wish::SecondStep.path()) { (visit.messages().account.cancel) } }
    };
    Ok(visit.page_asking(status, title, body))
}

/// The authenticator made one.
pub(super) async fn added(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let say = &visit.messages().passkey;
    let name = fields.get("name").ok().flatten().unwrap_or_default();
    let Some(Answered { challenge, answer }) = passkey::answered(fields) else {
        return add(visit, browser, (StatusCode::OK, None)).await;
    };
    match visit.pages.auth.add_passkey(browser, challenge, answer, name).await {
        Ok(codes) if codes.is_empty() => Ok(done(visit, &say.done)),
        Ok(codes) => Ok(shown(visit, &say.done, &codes)),
        Err(PasskeyError::Account(error)) => Err(failed(&error)),
        Err(error) => {
            let message = passkey::refusal(visit, error)?;
            add(visit, browser, (StatusCode::FORBIDDEN, Some(message))).await
        }
    }
}

/// One of them, to be renamed or removed.
pub(super) async fn edit(visit: &Visit, browser: &Browser, id: &str) -> Result<Response, Problem> {
    edit_with(visit, browser, id, false).await
}

/// The same, where it was to be removed and is the last way to sign in.
async fn edit_with(visit: &Visit, browser: &Browser, id: &str, is_last: bool) -> Result<Response, Problem> {
    let say = &visit.messages().passkey;
    let passkeys = visit.pages.auth.passkeys(browser).await?;
    let Some(passkey) = passkeys.into_iter().find(|passkey| passkey.id == id) else {
        return Ok(gone(visit));
    };
    let body = html! {
        (told(visit, &passkey))
        (alert(is_last.then(|| html! { (visit.messages().upstream.last_way) })))
        form method="post" action=(Wish::EditPasskey(id.to_owned()).path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            (name(visit, &passkey.name))
            button name="do" value="rename" { (say.rename) }
            p.apart { (say.remove_warning) }
            button.grave name="do" value="remove" { (say.remove) }
        }
        p.foot { a href=(Wish::SecondStep.path()) { (visit.messages().account.cancel) } }
    };
    let status = if is_last { StatusCode::CONFLICT } else { StatusCode::OK };
    let title = fill(&say.edit_title, &[("name", &called(visit, &passkey))]);
    Ok(visit.page_with(status, title, body, None))
}

/// It is renamed or removed.
pub(super) async fn edited(
    visit: &Visit,
    browser: &Browser,
    id: &str,
    fields: &Params,
) -> Result<Response, Problem> {
    let (auth, say) = (&visit.pages.auth, &visit.messages().passkey);
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    let (found, message) = match field("do") {
        "rename" => (auth.rename_passkey(browser, id, field("name")).await?, &say.renamed),
        "remove" => match auth.remove_passkey(browser, id).await {
            Ok(found) => (found, &say.removed),
            Err(AccountError::LastWay) => return edit_with(visit, browser, id, true).await,
            Err(error) => return Err(failed(&error)),
        },
        _ => return edit(visit, browser, id).await,
    };
    Ok(if found { done(visit, message) } else { gone(visit) })
}

fn name(visit: &Visit, name: &str) -> Markup {
    let say = &visit.messages().passkey;
    html! {
        div.field {
            label for="name" { (say.name) }
            input #name name="name" value=(name) maxlength="64" autocomplete="off" aria-describedby="name_hint";
            small #name_hint { (say.name_hint) }
        }
    }
}

fn gone(visit: &Visit) -> Response {
    let say = &visit.messages().passkey;
    let body = html! {
        p { (say.gone) }
        p { a href=(Wish::SecondStep.path()) { (visit.messages().second_step.manage_title) } }
    };
    visit.page_with(StatusCode::NOT_FOUND, html! { (say.title) }, body, None)
}

fn called(visit: &Visit, passkey: &Passkey) -> Markup {
    html! {
        @if passkey.name.is_empty() { (visit.messages().passkey.unnamed) } @else { bdi { (passkey.name) } }
    }
}

/// When it was added and used.
fn told(visit: &Visit, passkey: &Passkey) -> Markup {
    let say = &visit.messages().passkey;
    let day = |at| date(at).map(|date| html! { time datetime=(date) { (date) } });
    html! {
        p.soft {
            @if let Some(date) = day(passkey.added_at) { (fill(&say.added, &[("date", &date)])) ", " }
            @match passkey.used_at.and_then(day) {
                Some(date) => (fill(&say.used, &[("date", &date)])),
                None => (say.never_used),
            }
        }
    }
}
