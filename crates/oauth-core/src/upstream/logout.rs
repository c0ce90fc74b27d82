//! How a provider tells that somebody signed out there (OpenID Connect Back-Channel Logout 1.0, sections 2.4 to 2.6). The
//! signature was verified before.

use serde_json::Value;

use super::claims::{ClaimProblem, Claims, SKEW, check_source, id, number};

/// The event that the token tells of.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a token may be, in seconds.
const MAX_AGE: i64 = 10 * 60;

/// What ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// Whose sessions, where not just one ends.
    pub subject: Option<String>,
    /// The session that ends, where not all do.
    pub sid: Option<String>,
    /// By which the token is known, should it come again.
    pub jti: String,
    /// From when on it would be too old anyway, in milliseconds.
    pub forgotten_at: i64,
}

/// What the claims of a logout token of this issuer for this client end.
///
/// # Errors
/// Why nothing.
pub fn of_logout_token(
    claims: &Claims,
    issuer: &str,
    client_id: &str,
    now: i64,
) -> Result<Logout, ClaimProblem> {
    check_source(claims, issuer, client_id)?;
    let now = now.div_euclid(1_000);
    let issued = number(claims, "iat").ok_or(ClaimProblem::Time)?;
    let is_over = number(claims, "exp").is_some_and(|expires| expires.saturating_add(SKEW) <= now);
    let is_now = issued <= now.saturating_add(SKEW) && issued.saturating_add(MAX_AGE) > now;
    if is_over || !is_now {
        return Err(ClaimProblem::Time);
    }
    // An ID token is none, whatever else it says.
    let tells = claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object);
    if !tells || claims.contains_key("nonce") {
        return Err(ClaimProblem::Kind);
    }
    let jti = id(claims, "jti").ok_or(ClaimProblem::Kind)?.to_owned();
    let (subject, sid) = (id(claims, "sub").map(str::to_owned), id(claims, "sid").map(str::to_owned));
    if subject.is_none() && sid.is_none() {
        return Err(ClaimProblem::Subject);
    }
    let forgotten_at = issued.saturating_add(MAX_AGE).saturating_mul(1_000);
    Ok(Logout { subject, sid, jti, forgotten_at })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{EVENT, Logout, of_logout_token};
    use crate::upstream::claims::ClaimProblem;

    fn token() -> Value {
        json!({
            "iss": "https://id.example", "aud": "myelin", "sub": "1234", "sid": "s", "jti": "j", "iat": 1_000_000,
            "exp": 1_000_120, "events": {EVENT: {}},
        })
    }

    fn read(token: &Value) -> Result<Logout, ClaimProblem> {
        of_logout_token(token.as_object().unwrap(), "https://id.example", "myelin", 1_000_000_000)
    }

    #[test]
    fn a_logout_token_is_fresh_has_a_name_and_is_no_id_token() {
        let told = read(&token()).unwrap();
        assert_eq!(
            (told.subject.as_deref(), told.sid.as_deref(), &*told.jti),
            (Some("1234"), Some("s"), "j")
        );
        assert!(told.forgotten_at > 1_000_000_000);
        for (key, value, problem) in [
            ("iss", json!("https://evil.example"), ClaimProblem::Issuer),
            ("aud", json!("other"), ClaimProblem::Audience),
            ("iat", json!(999_000), ClaimProblem::Time),
            ("iat", json!(1_000_200), ClaimProblem::Time),
            ("exp", json!(999_800), ClaimProblem::Time),
            ("events", json!({}), ClaimProblem::Kind),
            ("events", json!({EVENT: 1}), ClaimProblem::Kind),
            ("nonce", json!("n"), ClaimProblem::Kind),
            ("jti", json!(null), ClaimProblem::Kind),
        ] {
            let mut bad = token();
            bad[key] = value.clone();
            assert_eq!(read(&bad), Err(problem), "{key} {value}");
        }
        let mut nobody = token();
        (nobody["sub"], nobody["sid"]) = (json!(null), json!(null));
        assert_eq!(read(&nobody), Err(ClaimProblem::Subject));
    }
}
