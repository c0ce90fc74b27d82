//! What people see who open an endpoint of the API in a browser: the link in a mail, and stages of interactive authentication
//! that their client does not know. They are there without the other pages, too.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use myelin_api::{People, Shown, StagePage, StageProblem, accept_language};
use myelin_auth::{Confirmation, EmailPurpose, Refusal, Stage};
use myelin_language::Language;

use crate::layout::{Page, Script};
use crate::messages::{Messages, fill};
use crate::pages::{alert, named, terms};
use crate::state::Pages;

impl People for Pages {
    fn page(&self, headers: &HeaderMap, shown: &Shown<'_>) -> Response {
        let config = self.auth.config();
        let language = Language::choose([], accept_language(headers)).unwrap_or(config.language);
        let say = Messages::of(language);
        let (mut status, mut form_leads_to, mut script) = (StatusCode::OK, None, Script::None);
        let (title, body) = match shown {
            Shown::Confirm { found, token, leads_to } => {
                form_leads_to = leads_to.map(str::to_owned);
                (&say.address.title, confirm(say, found, token))
            }
            Shown::Confirmed => (&say.address.thanks, html! { p { (say.address.done) } }),
            Shown::LinkEnded => {
                status = StatusCode::BAD_REQUEST;
                (&say.address.ended_title, html! { p { (say.address.ended) } })
            }
            Shown::Stage(stage) => {
                status = status_of(stage.problem);
                (&say.stage.title, self.stage(language, stage))
            }
            Shown::StagePassed => {
                script = Script::Tells;
                (&say.done.title, html! { p { (say.confirm.done) } })
            }
            Shown::StageEnded => {
                status = StatusCode::BAD_REQUEST;
                (&say.stage.title, html! { p { (say.confirm.gone) } })
            }
            Shown::Refused(refused) => {
                status = *refused;
                (&say.problem.title, html! { p { (why(say, status)) } })
            }
        };
        let plain = Page::plain((language, &self.brand), status, html! { (title) }, body);
        Page { form_leads_to, script, ..plain }.into_response()
    }
}

fn confirm(say: &Messages, found: &Confirmation, token: &str) -> Markup {
    let say = &say.address;
    let question = match found.purpose {
        EmailPurpose::Register => &say.register,
        EmailPurpose::Add => &say.add,
        EmailPurpose::Reset => &say.reset,
    };
    html! {
        p { (fill(question, &[("address", &named(&found.address))])) }
        form method="post" action="submit_token" {
            input type="hidden" name="token" value=(token);
            button { (say.button) }
        }
        p.foot.soft { (say.not_you) }
    }
}

impl Pages {
    /// What a stage asks for.
    fn stage(&self, language: Language, page: &StagePage<'_>) -> Markup {
        let messages = Messages::of(language);
        let say = &messages.stage;
        let server = self.brand.name();
        let explain = match page.stage {
            Stage::Terms => html! {
                p { (fill(&say.terms, &[("server", &server)])) }
                ul {
                    @for terms in &self.auth.config().terms { li { (terms::link(language, terms)) } }
                }
            },
            Stage::Password => {
                let user = named(page.user_id.unwrap_or_default());
                html! { p { (fill(&say.password, &[("user", &user)])) } }
            }
            Stage::RegistrationToken => html! { p { (fill(&say.token, &[("server", &server)])) } },
            Stage::Email(_) => match page.mail {
                Some((address, _)) => html! {
                    p { (fill(&messages.sign_up.mail_sent, &[("address", &named(address))])) }
                    p { (messages.emails.open) }
                },
                None => html! { p { (say.email) } },
            },
            Stage::Dummy | Stage::Oauth | Stage::OauthUnstable | Stage::Sso => html! { p { (say.other) } },
        };
        let button = match page.stage {
            Stage::Terms => &messages.terms.button,
            Stage::Email(_) if page.mail.is_some() => &messages.emails.confirmed,
            _ => &say.button,
        };
        html! {
            (explain)
            p { strong { (messages.confirm.careful) } }
            (alert(page.problem.map(|problem| html! { (told(messages, problem)) })))
            form method="post" action="web" {
                input type="hidden" name="session" value=(page.session);
                (fields(messages, page))
                button { (button) }
            }
        }
    }
}

fn fields(say: &Messages, page: &StagePage<'_>) -> Markup {
    match (page.stage, page.mail) {
        (Stage::Password, _) => html! {
            // For programs that keep passwords.
            input type="hidden" name="user_name" value=[page.user_id] autocomplete="username";
            div.field {
                label for="password" { (say.common.password) }
                input #password name="password" type="password" required autocomplete="current-password"
                    maxlength="1024" autofocus;
            }
        },
        (Stage::RegistrationToken, _) => html! {
            div.field {
                label for="token" { (say.sign_up.token) }
                input #token name="token" required autocomplete="off" autocapitalize="none" spellcheck="false"
                    maxlength="64" aria-describedby="token_hint" autofocus;
                small #token_hint { (say.sign_up.token_hint) }
            }
        },
        (Stage::Email(_), None) => html! {
            div.field {
                label for="email" { (say.sign_up.email) }
                input #email name="email" type="email" required autocomplete="email" maxlength="320"
                    aria-describedby="email_hint" autofocus;
                small #email_hint { (say.sign_up.email_hint) }
            }
        },
        (Stage::Email(_), Some((address, credentials))) => html! {
            input type="hidden" name="email" value=(address);
            input type="hidden" name="sid" value=(credentials.sid);
            input type="hidden" name="secret" value=(credentials.client_secret);
        },
        (Stage::Terms | Stage::Dummy | Stage::Oauth | Stage::OauthUnstable | Stage::Sso, _) => html! {},
    }
}

fn status_of(problem: Option<StageProblem>) -> StatusCode {
    match problem {
        None => StatusCode::OK,
        Some(StageProblem::Refused(_)) => StatusCode::FORBIDDEN,
        Some(StageProblem::Address) => StatusCode::BAD_REQUEST,
        Some(StageProblem::Limited) => StatusCode::TOO_MANY_REQUESTS,
        Some(StageProblem::Busy | StageProblem::Directory) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn why(say: &Messages, status: StatusCode) -> &str {
    match status {
        StatusCode::TOO_MANY_REQUESTS => &say.common.wait,
        status if status.is_server_error() => &say.common.failed,
        _ => &say.problem.form,
    }
}

fn told(say: &Messages, problem: StageProblem) -> &str {
    match problem {
        StageProblem::Refused(Refusal::Password) => &say.stage.password_wrong,
        StageProblem::Refused(Refusal::RegistrationToken) => &say.sign_up.token_wrong,
        StageProblem::Refused(Refusal::Email) => &say.sign_up.not_confirmed,
        StageProblem::Refused(Refusal::Stage) => &say.confirm.gone,
        StageProblem::Address => &say.sign_up.email_wrong,
        StageProblem::Limited => &say.common.wait,
        StageProblem::Busy => &say.common.busy,
        StageProblem::Directory => &say.common.directory,
    }
}
