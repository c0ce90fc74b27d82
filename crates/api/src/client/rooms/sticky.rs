//! Sticky events (MSC4354) in requests that send events.

use axum::extract::FromRequestParts;
use http::request::Parts;
use myelin_pdu::MAX_STICKY_MS;

use crate::Error;

/// The query parameter: by the name that clients use until the MSC is accepted, and by the one it is to have.
const PARAMETERS: [&str; 2] = ["org.matrix.msc4354.sticky_duration_ms", "sticky_duration_ms"];

/// For how many milliseconds the query asks the event to be sticky.
pub(crate) struct AskedSticky(pub(crate) Option<i64>);

impl<S: Sync> FromRequestParts<S> for AskedSticky {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        asked(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn asked(query: &str) -> Result<Option<i64>, Error> {
    let value = |name: &&str| query.split('&').find_map(|pair| pair.strip_prefix(*name)?.strip_prefix('='));
    let Some(asked) = PARAMETERS.iter().find_map(value) else { return Ok(None) };
    match asked.parse() {
        Ok(duration) if (0..=MAX_STICKY_MS).contains(&duration) => Ok(Some(duration)),
        _ => Err(Error::invalid_param(format!(
            "sticky_duration_ms must be a number of milliseconds from 0 to {MAX_STICKY_MS}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn a_duration_has_either_name_and_is_an_hour_at_most() {
        let read = |query: &str| asked(query).map_err(|error| error.errcode());
        assert_eq!(read("ts=1&xsticky_duration_ms=9"), Ok(None));
        assert_eq!(read("sticky_duration_ms=0"), Ok(Some(0)));
        assert_eq!(read("a=b&org.matrix.msc4354.sticky_duration_ms=3600000"), Ok(Some(3_600_000)));
        for bad in ["3600001", "-1", "", "1.5", "hour", "99999999999999999999"] {
            let query = format!("org.matrix.msc4354.sticky_duration_ms={bad}");
            assert_eq!(read(&query), Err("M_INVALID_PARAM"), "{bad}");
        }
    }
}
