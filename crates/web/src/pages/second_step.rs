//! `GET` and `POST /oauth2/second-step`: what somebody shows beside their password.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use myelin_auth::{HalfSignedIn, SecondStepError};

use super::{alert, named};
use crate::browser::{Visit, see_other};
use crate::guard::posted;
use crate::messages::fill;
use crate::next::{Next, SECOND_STEP, SIGN_IN};
use crate::problem::Problem;

/// Asks for a code, where the password was shown.
pub(crate) async fn get(visit: Visit) -> Response {
    match visit.half() {
        Some(half) => form(&visit, StatusCode::OK, &half, None),
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
    let code = fields.get("code").ok().flatten().unwrap_or_default();
    match visit.pages.auth.sign_in_by_code(&half, code, &visit.origin()).await {
        Ok(browser) => visit.signed_in(&browser, &Next::of_query(&visit.params)).await,
        Err(SecondStepError::Wrong) => {
            let message = html! { (visit.messages().second_step.wrong) };
            Ok(form(visit, StatusCode::FORBIDDEN, &half, Some(message)))
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

fn form(visit: &Visit, status: StatusCode, half: &HalfSignedIn, message: Option<Markup>) -> Response {
    let say = &visit.messages().second_step;
    let next = Next::of_query(&visit.params);
    let body = html! {
        p { (fill(&say.intro, &[("user", &named(half.user_id.as_str()))])) }
        (alert(message))
        form method="post" action={ (SECOND_STEP) "?" (visit.query) } {
            (visit.form_token())
            div.field {
                label for="code" { (say.code) }
                input #code name="code" required autofocus autocomplete="one-time-code" autocapitalize="none"
                    autocorrect="off" spellcheck="false" maxlength="64" aria-describedby="code_hint";
                small #code_hint { (say.code_hint) }
            }
            button { (say.button) }
        }
        p.foot.soft { (say.lost) " " a href=(next.through(SIGN_IN, None)) { (say.again) } }
    };
    visit.page_with(status, html! { (say.title) }, body, None)
}
