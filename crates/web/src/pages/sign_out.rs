//! `POST /oauth2/sign-out`: this browser forgets who is signed in in it. Sessions of clients go on.

use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use maud::html;

use crate::browser::Visit;
use crate::guard::posted;
use crate::problem::Problem;

/// Signs the browser out.
pub(crate) async fn post(visit: Visit, body: Result<Bytes, BytesRejection>) -> Response {
    let result = sign_out(&visit, body).await;
    visit.answer(result)
}

async fn sign_out(visit: &Visit, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    posted(&visit.pages, &visit.headers, &body.map_err(|_| Problem::Form)?)?;
    let say = &visit.messages().done;
    let body = html! { p { (say.signed_out) } p.soft { (say.close) } };
    visit.signed_out(visit.page(html! { (say.title) }, body)).await
}
