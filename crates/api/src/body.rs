//! Requests whose bodies this crate types itself: where clients send older forms than ruma's types take, or where
//! what is signed must be seen as it was sent.

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::Error;
use crate::args::body_error;

/// A JSON body. No body at all counts as `{}`, and the content type is not looked at, because clients leave out both.
pub(crate) struct Body<T>(pub(crate) T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = Bytes::from_request(request.with_limited_body(), &())
            .await
            .map_err(|rejection| body_error(rejection.status()))?;
        parse(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

/// A JSON object in the form of `T`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    check_utf8(body)?;
    // Serde reads an array as the fields in their order, which no client means.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Error::bad_json("The request's body is not a JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| {
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            // The message names fields and positions, never what a field holds.
            let message =
                format!("The request does not have the form this endpoint takes: {}.", describe(&error));
            return Error::bad_json(message);
        }
        let status = http::StatusCode::BAD_REQUEST;
        Error::new(status, "M_NOT_JSON", "The request's body is not valid JSON.")
    })
}

/// Refuses what is no JSON for not being UTF-8: serde looks at the text of those fields only that it reads.
pub(crate) fn check_utf8(body: &[u8]) -> Result<(), Error> {
    match std::str::from_utf8(body) {
        Ok(_) => Ok(()),
        Err(_) => {
            let status = http::StatusCode::BAD_REQUEST;
            Err(Error::new(status, "M_NOT_JSON", "The request's body is not valid UTF-8."))
        }
    }
}

/// Where the form was left. Serde's own message may quote a value, such as a password in the wrong place.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("missing field") {
        text
    } else {
        format!("a value of the wrong type at line {} column {}", error.line(), error.column())
    }
}

/// The only variable segment of the path, percent-decoded.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::invalid_param("The path is not valid UTF-8."))?;
        let segment = params.iter().next().map(|(_, value)| value.to_owned());
        segment.map(Self).ok_or_else(Error::unrecognized)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as HttpBody;
    use axum::extract::{FromRequest, Request};
    use serde::Deserialize;

    use super::Body;

    #[derive(Debug, Deserialize)]
    struct Form {
        #[serde(default)]
        number: Option<u32>,
    }

    async fn sent(body: &'static str) -> Result<Option<u32>, &'static str> {
        let request = Request::new(HttpBody::from(body));
        let parsed = Body::<Form>::from_request(request, &()).await;
        parsed.map(|Body(form)| form.number).map_err(|error| error.errcode())
    }

    #[tokio::test]
    async fn json_of_the_wrong_form_is_told_from_what_is_no_json() {
        assert_eq!(sent("{\"number\": 3}").await, Ok(Some(3)));
        assert_eq!(sent("").await, Ok(None));
        assert_eq!(sent("{\"number\": \"x\"}").await, Err("M_BAD_JSON"));
        assert_eq!(sent(" {}").await, Ok(None));
        assert_eq!(sent("[3]").await, Err("M_BAD_JSON"));
        assert_eq!(sent("{\"number\": 3").await, Err("M_NOT_JSON"));
        let request = Request::new(HttpBody::from(&b"{\"other\": \"\xff\"}"[..]));
        let error = Body::<Form>::from_request(request, &()).await.map(|_| ()).unwrap_err();
        assert_eq!(error.errcode(), "M_NOT_JSON");
    }

    #[tokio::test]
    async fn an_error_never_quotes_what_was_sent() {
        let request = Request::new(HttpBody::from("{\"number\": \"hunter2\"}"));
        let error = Body::<Form>::from_request(request, &()).await.map(|_| ()).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
