//! `GET` and `POST /oauth2/second-step`: what somebody shows beside their password.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{HalfSignedIn, SecondStepError};

use super::{described, named, wrong};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{Next, SECOND_STEP, SIGN_IN};
use crate::passkey::{self, Answered};
use crate::problem::Problem;

/// Asks for a code, where the password was shown.
pub(crate) async fn get(visit: Visit) -> Response {
    match visit.half() {
        Some(half) => {
            let result = form(&visit, StatusCode::OK, &half, None).await;
            visit.answer(result)
        }
        None => see_other(&Next::of_query(&visit.params).through(SIGN_IN, None)),
    }
}

/// Signs the person in.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = sign_in(&visit, body).await;
    visit.answer(result)
}

async fn sign_in(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let fields = posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let Some(half) = visit.half() else { return Ok(ended(visit)) };
    if let Some(Answered { challenge, answer }) = passkey::answered(&fields) {
        let answered = (challenge, answer);
        return match visit.pages.auth.sign_in_by_passkey(Some(&half), answered, &visit.origin()).await {
            Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
            Err(error) => {
                let message = passkey::refusal(visit, error)?;
                form(visit, StatusCode::FORBIDDEN, &half, Some(message)).await
            }
        };
    }
    let code = fields.get("code").ok().flatten().unwrap_or_default();
    match visit.pages.auth.sign_in_by_code(&half, code, &visit.origin()).await {
        Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
        Err(SecondStepError::Wrong) => {
            let message = html! { (visit.messages().second_step.wrong) };
            form(visit, StatusCode::FORBIDDEN, &half, Some(message)).await
        }
        Err(SecondStepError::Ended) => Ok(ended(visit)),
        Err(SecondStepError::Limited(wait)) => Err(Problem::Limited(wait)),
        Err(SecondStepError::Store(error)) => Err(error.into()),
    }
}

fn ended(visit: &Visit) -> Response {
    let say = &visit.messages().second_step;
    let next = Next::of_query(&visit.params);
    let body = html! {
        p { (say.ended) }
        p { a href=(next.through(SIGN_IN, None)) { (visit.messages().sign_in.title) } }
    };
    visit.page_with(StatusCode::FORBIDDEN, html! { (say.title) }, body, None)
}

async fn form(
    visit: &Visit,
    status: StatusCode,
    half: &HalfSignedIn,
    message: Option<Markup>,
) -> Result<Response, Problem> {
    let say = &visit.messages().second_step;
    let challenge = visit.pages.auth.ask_for_own_passkey(half).await?;
    let next = Next::of_query(&visit.params);
    let described = described(message.as_ref(), Some("code_hint"));
    let body = html! {
        p { (fill(&say.intro, &[("user", &named(half.user_id.as_str()))])) }
        (wrong(message))
        form method="post" action={ (SECOND_STEP) "?" (visit.query) } {
            (visit.form_token())
            div.field {
                label for="code" { (say.code) }
                input #code name="code" required autofocus autocomplete="one-time-code" autocapitalize="none"
                    autocorrect="off" spellcheck="false" maxlength="64"
                    aria-describedby=[described];
                small #code_hint { (say.code_hint) }
            }
            button { (say.button) }
            @if let Some(challenge) = &challenge {
                (passkey::button(visit, challenge, &visit.messages().passkey.second, true))
            }
        }
        p.foot.soft { (say.lost) " " a href=(next.through(SIGN_IN, None)) { (say.again) } }
    };
    let title = html! { (say.title) };
    Ok(match challenge {
        Some(_) => visit.page_asking(status, title, body),
        None => visit.page_with(status, title, body, None),
    })
}
