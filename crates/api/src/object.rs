//! Requests whose body is stored as it was sent: JSON objects whose bytes must come back the same.

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use ruma::OwnedUserId;

use crate::Error;
use crate::args::body_error;
use crate::body::check;

/// The body of a request, a JSON object, without the space around it. It must be there: an empty one is none.
pub(crate) struct Object(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = Bytes::from_request(request.with_limited_body(), &())
            .await
            .map_err(|rejection| body_error(rejection.status()))?;
        check(&body)?;
        Ok(Self(body.slice_ref(body.trim_ascii())))
    }
}

/// The `N` variable segments of a path, percent-decoded and otherwise as they were sent.
pub(crate) struct Segments<const N: usize>(pub(crate) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for Segments<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        segments(parts, state).await?.try_into().map(Self).map_err(|_| Error::unrecognized())
    }
}

/// A path that begins with a user id, and the `N` variable segments after it.
pub(crate) struct UserPath<const N: usize>(pub(crate) OwnedUserId, pub(crate) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for UserPath<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let mut segments = segments(parts, state).await?;
        if segments.len() != N + 1 {
            return Err(Error::unrecognized());
        }
        let user_id = named(&segments.remove(0), "a user by a user id")?;
        segments.try_into().map(|rest| Self(user_id, rest)).map_err(|_| Error::unrecognized())
    }
}

async fn segments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, Error> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::invalid_param("The path is not valid UTF-8."))?;
    Ok(params.iter().map(|(_, value)| value.to_owned()).collect())
}

/// The identifier that a segment of a path must be.
pub(crate) fn named<T: for<'a> TryFrom<&'a str>>(segment: &str, what: &str) -> Result<T, Error> {
    T::try_from(segment).map_err(|_| Error::invalid_param(format!("The path does not name {what}.")))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::{FromRequest, Request};

    use super::Object;

    async fn sent(body: &str) -> Result<String, &'static str> {
        let request = Request::new(Body::from(body.to_owned()));
        let parsed = Object::from_request(request, &()).await;
        parsed.map(|Object(bytes)| String::from_utf8(bytes.into()).unwrap()).map_err(|error| error.errcode())
    }

    #[tokio::test]
    async fn an_object_comes_as_it_was_sent_and_nothing_else_comes() {
        assert_eq!(sent(" {\"a\" : 1.50}\n").await.as_deref(), Ok("{\"a\" : 1.50}"));
        for bad in ["", "{", "nonsense", "{} {}"] {
            assert_eq!(sent(bad).await, Err("M_NOT_JSON"), "{bad}");
        }
        for bad in ["[]", "\"{\"", "null", "3"] {
            assert_eq!(sent(bad).await, Err("M_BAD_JSON"), "{bad}");
        }
    }

    #[tokio::test]
    async fn nesting_is_bounded_but_brackets_in_text_are_none() {
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(sent(&nested(100)).await.is_ok());
        assert_eq!(sent(&nested(101)).await, Err("M_BAD_JSON"));
        assert!(sent(&format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(500))).await.is_ok());
    }
}
