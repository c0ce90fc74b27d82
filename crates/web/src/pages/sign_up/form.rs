//! The steps of making an account, as they are shown.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{EmailCredentials, Invited};
use myelin_oauth_core::params::Params;

use super::super::sign_in::client_name;
use super::super::terms;
use super::super::upstream::offers;
use super::super::{alert, named};
use crate::browser::Visit;
use crate::messages::fill;
use crate::next::{Next, SIGN_IN, SIGN_UP};
use crate::problem::Problem;
use crate::state::SignUp;

/// What somebody filled in.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) email: String,
    /// Whether they came by an invitation.
    pub(super) invited: Option<Invited>,
    /// In what the address is confirmed.
    pub(super) confirmation: Option<EmailCredentials>,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The name, and the address to which a mail is sent.
    Address,
    /// The password, with the name where that was not asked for before.
    Password,
}

impl Step {
    pub(super) fn first(needs: SignUp) -> Self {
        if needs.email { Self::Address } else { Self::Password }
    }
}

impl Filled {
    pub(super) fn of(fields: &Params) -> Self {
        let field = |name| fields.get(name).ok().flatten().unwrap_or_default();
        let (sid, client_secret) = (field("sid").to_owned(), field("secret").to_owned());
        Self {
            name: field("user_name").trim().to_owned(),
            token: field("token").trim().to_owned(),
            email: field("email").trim().to_owned(),
            invited: None,
            confirmation: (!sid.is_empty()).then_some(EmailCredentials { sid, client_secret }),
        }
    }

    /// The step whose form this came from.
    pub(super) fn step(&self, needs: SignUp) -> Step {
        if self.confirmation.is_some() { Step::Password } else { Step::first(needs) }
    }
}

/// Nobody may.
pub(super) fn closed(visit: &Visit) -> Response {
    let say = &visit.messages().sign_up;
    let next = Next::of_query(&visit.params);
    // Who may not make an account here may be let in with one of elsewhere.
    let by_provider = visit.pages.offers_sign_up();
    let status = if by_provider { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let body = html! {
        @if by_provider { (offers(visit, &next)) } @else { p { (say.closed) } }
        (instead(visit))
    };
    visit.page_with(status, html! { (say.title) }, body, None)
}

/// A step, perhaps once more with what was wrong.
pub(super) async fn show(
    visit: &Visit,
    needs: SignUp,
    step: Step,
    filled: &Filled,
    (status, message): (StatusCode, Option<Markup>),
) -> Result<Response, Problem> {
    let say = &visit.messages().sign_up;
    let server = visit.called();
    let client = client_name(visit, &Next::of_query(&visit.params)).await?;
    let confirms = filled.confirmation.as_ref().filter(|_| step == Step::Password);
    let button = if step == Step::Address { &say.next } else { &say.button };
    let body = html! {
        p.soft {
            @if let Some(client) = &client {
                (fill(&say.intro_client, &[("server", &server), ("client", &named(client))]))
            } @else {
                (fill(&say.intro, &[("server", &server)]))
            }
        }
        @if let Some(invited) = filled.invited {
            p { strong { (if invited.is_admin { &say.invited_admin } else { &say.invited }) } }
        }
        @if confirms.is_some() {
            p { (fill(&say.mail_sent, &[("address", &named(&filled.email))])) }
            p { (say.mail_open) }
        }
        (alert(message))
        form method="post" action={ (SIGN_UP) "?" (visit.query) } {
            (visit.form_token())
            @match confirms {
                Some(credentials) => (carried(filled, credentials)),
                None => {
                    (name(visit, filled))
                    @if step == Step::Address { (address(visit, filled)) }
                    @if needs.token { (token(visit, filled)) }
                }
            }
            @if step == Step::Password { (password(visit)) (terms::field(visit)) }
            button { (button) }
        }
        @if confirms.is_none() { (offers(visit, &Next::of_query(&visit.params))) }
        @if confirms.is_some() {
            p.foot { a href={ (SIGN_UP) "?" (visit.query) } { (say.mail_other) } }
        }
        (instead(visit))
    };
    Ok(visit.page_with(status, html! { (say.title) }, body, None))
}

fn instead(visit: &Visit) -> Markup {
    let say = &visit.messages().sign_up;
    let next = Next::of_query(&visit.params);
    html! { p.foot.soft { (say.have_account) " " a href=(next.through(SIGN_IN, None)) { (say.sign_in) } } }
}

/// What was filled in before.
fn carried(filled: &Filled, credentials: &EmailCredentials) -> Markup {
    html! {
        input type="hidden" name="user_name" value=(filled.name);
        input type="hidden" name="token" value=(filled.token);
        input type="hidden" name="email" value=(filled.email);
        input type="hidden" name="sid" value=(credentials.sid);
        input type="hidden" name="secret" value=(credentials.client_secret);
    }
}

fn name(visit: &Visit, filled: &Filled) -> Markup {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    html! {
        div.field {
            label for="user_name" { (common.user_name) }
            input #user_name name="user_name" value=(filled.name) required autocomplete="username"
                autocapitalize="none" autocorrect="off" spellcheck="false" maxlength="255" autofocus
                aria-describedby="user_name_hint";
            small #user_name_hint { (fill(&say.user_name_hint, &[("server", &visit.server())])) }
        }
    }
}

fn address(visit: &Visit, filled: &Filled) -> Markup {
    let say = &visit.messages().sign_up;
    html! {
        div.field {
            label for="email" { (say.email) }
            input #email name="email" type="email" value=(filled.email) required autocomplete="email"
                maxlength="320" aria-describedby="email_hint";
            small #email_hint { (say.email_hint) }
        }
    }
}

fn token(visit: &Visit, filled: &Filled) -> Markup {
    let say = &visit.messages().sign_up;
    html! {
        div.field {
            label for="token" { (say.token) }
            input #token name="token" value=(filled.token) required autocomplete="off" autocapitalize="none"
                autocorrect="off" spellcheck="false" maxlength="64" aria-describedby="token_hint";
            small #token_hint { (say.token_hint) }
        }
    }
}

fn password(visit: &Visit) -> Markup {
    let (say, common) = (&visit.messages().sign_up, &visit.messages().common);
    let least = visit.pages.auth.config().min_password_chars;
    html! {
        div.field {
            label for="password" { (common.password) }
            input #password name="password" type="password" required autocomplete="new-password"
                minlength=(least) maxlength="1024" aria-describedby="password_hint";
            small #password_hint { (fill(&say.password_hint, &[("least", &least)])) }
        }
    }
}
