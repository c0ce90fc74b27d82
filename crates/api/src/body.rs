//! Requests whose bodies this crate types itself: where clients send older forms than ruma's types take, or where
//! what is signed must be seen as it was sent.

mod objects;

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::Error;
use crate::args::body_error;

/// How deep a body may be nested. Much of what is sent is stored, and clients read it again, many by recursion.
const MAX_NESTING: usize = 100;

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

/// A body that says nothing, read to its end: a connection is closed whose request was answered before that.
pub(crate) struct Unused;

impl<S: Send + Sync> FromRequest<S> for Unused {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = Bytes::from_request(request.with_limited_body(), &()).await;
        body.map(|_| Self).map_err(|rejection| body_error(rejection.status()))
    }
}

/// A JSON object in the form of `T`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    check(body)?;
    objects::from_slice(body).map_err(|error| of_form(&error))
}

/// Refuses what no endpoint takes: what is no UTF-8 or no JSON (serde looks only at the fields that it reads), what is
/// no object, and what is nested too deeply for those who read it by recursion.
pub(crate) fn check(body: &[u8]) -> Result<(), Error> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(not_json("The request's body is not valid UTF-8."));
    };
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Err(not_json("The request's body is not valid JSON."));
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Error::bad_json("The request's body is not a JSON object."));
    }
    if nesting(text) > MAX_NESTING {
        return Err(Error::bad_json("The request's body is nested too deeply."));
    }
    Ok(())
}

fn not_json(message: &str) -> Error {
    Error::new(http::StatusCode::BAD_REQUEST, "M_NOT_JSON", message)
}

/// How deep valid JSON is nested.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The error for JSON of another form than an endpoint takes.
pub(crate) fn of_form(error: &serde_json::Error) -> Error {
    // The message names fields and positions, never what a field holds.
    Error::bad_json(format!("The request does not have the form this endpoint takes: {}.", describe(error)))
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
