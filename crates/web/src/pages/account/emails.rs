//! The e-mail addresses of an account. Who changes them has signed in a short time ago: a new password can be had by them.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{Browser, EmailCredentials, EmailError, EmailPurpose, EmailRequest, ThirdPartyError};
use myelin_oauth_core::params::Params;

use super::super::{alert, named};
use super::menu::{framed, note};
use crate::browser::Visit;
use crate::messages::fill;
use crate::problem::Problem;
use crate::wish::Wish;

/// Letters and digits in the secret that goes with a confirmation.
const SECRET: usize = 32;

/// Lists them.
pub(super) async fn show(visit: &Visit, browser: &Browser) -> Result<Response, Problem> {
    list(visit, browser, StatusCode::OK, &html! {}).await
}

/// Adds one, goes on with adding it, or removes one.
pub(super) async fn act(visit: &Visit, browser: &Browser, fields: &Params) -> Result<Response, Problem> {
    let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
    let (say, auth) = (&visit.messages().emails, &visit.pages.auth);
    if !field("remove").is_empty() {
        let requester = auth.acting(browser).await?;
        auth.delete_third_party_id(&requester, "email", field("remove")).await?;
        return list(visit, browser, StatusCode::OK, &note(Some(&say.removed))).await;
    }
    if field("sid").is_empty() {
        return ask(visit, browser, field("email").trim()).await;
    }
    let (sid, client_secret) = (field("sid").to_owned(), field("secret").to_owned());
    let confirmation = EmailCredentials { sid, client_secret };
    let requester = auth.acting(browser).await?;
    let message = match auth.add_email(&requester, &confirmation).await {
        Ok(()) => return list(visit, browser, StatusCode::OK, &note(Some(&say.added))).await,
        Err(ThirdPartyError::NotValidated) => {
            let message = html! { (visit.messages().sign_up.not_confirmed) };
            return Ok(confirm(visit, browser, field("email"), &confirmation, &alert(Some(message))));
        }
        Err(ThirdPartyError::InUse) => &visit.messages().sign_up.email_taken,
        Err(ThirdPartyError::TooMany) => &say.too_many,
        Err(ThirdPartyError::Unknown) => return Err(Problem::Failed),
        Err(ThirdPartyError::Store(error)) => return Err(error.into()),
    };
    list(visit, browser, StatusCode::BAD_REQUEST, &alert(Some(html! { (message) }))).await
}

/// Has a mail sent to the address, which nobody learns anything of that way.
async fn ask(visit: &Visit, browser: &Browser, email: &str) -> Result<Response, Problem> {
    let client_secret = visit.pages.env.random.alphanumeric(SECRET);
    let request = EmailRequest {
        purpose: EmailPurpose::Add,
        email: email.to_owned(),
        client_secret: client_secret.clone(),
        send_attempt: 1,
        next_link: None,
        language: Some(visit.language),
    };
    match visit.pages.auth.request_email(request).await {
        Ok(sid) => {
            let confirmation = EmailCredentials { sid, client_secret };
            Ok(confirm(visit, browser, email, &confirmation, &html! {}))
        }
        Err(EmailError::Limited(wait)) => Err(Problem::Limited(wait)),
        Err(EmailError::Store(error)) => Err(error.into()),
        Err(_) => {
            let message = html! { (visit.messages().sign_up.email_wrong) };
            list(visit, browser, StatusCode::BAD_REQUEST, &alert(Some(message))).await
        }
    }
}

async fn list(
    visit: &Visit,
    browser: &Browser,
    status: StatusCode,
    message: &Markup,
) -> Result<Response, Problem> {
    let (say, sign_up) = (&visit.messages().emails, &visit.messages().sign_up);
    let requester = visit.pages.auth.acting(browser).await?;
    let mut addresses = visit.pages.auth.third_party_ids(&requester).await?;
    addresses.retain(|address| address.medium == "email");
    let body = html! {
        (message)
        p { (say.explain) }
        @if addresses.is_empty() { p.soft { (say.none) } }
        ul.devices {
            @for address in &addresses {
                li {
                    p { bdi { (address.address) } }
                    form.inline method="post" action=(Wish::Emails.path()) {
                        (visit.form_token())
                        input type="hidden" name="user" value=(browser.user_id);
                        input type="hidden" name="remove" value=(address.address);
                        button.link aria-label={ (say.remove) " " (address.address) } { (say.remove) }
                    }
                }
            }
        }
        form method="post" action=(Wish::Emails.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            div.field {
                label for="email" { (sign_up.email) }
                input #email name="email" type="email" required autocomplete="email" maxlength="320"
                    aria-describedby="email_hint";
                small #email_hint { (sign_up.email_hint) }
            }
            button { (say.add) }
        }
    };
    let body = framed(visit, browser, &Wish::Emails, &body);
    Ok(visit.page_with(status, html! { (say.title) }, body, None))
}

fn confirm(
    visit: &Visit,
    browser: &Browser,
    email: &str,
    confirmation: &EmailCredentials,
    message: &Markup,
) -> Response {
    let (say, sign_up) = (&visit.messages().emails, &visit.messages().sign_up);
    let body = html! {
        (message)
        p { (fill(&sign_up.mail_sent, &[("address", &named(email))])) }
        p { (say.open) }
        form method="post" action=(Wish::Emails.path()) {
            (visit.form_token())
            input type="hidden" name="user" value=(browser.user_id);
            input type="hidden" name="email" value=(email);
            input type="hidden" name="sid" value=(confirmation.sid);
            input type="hidden" name="secret" value=(confirmation.client_secret);
            button { (say.confirmed) }
        }
        p.foot { a href=(Wish::Emails.path()) { (visit.messages().account.cancel) } }
    };
    visit.page(html! { (say.title) }, framed(visit, browser, &Wish::Emails, &body))
}
