//! What a provider says of a person (OpenID Connect Core 1.0, sections 3.1.3.7 and 5.3). The signature was verified before.

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// Claims, as they were sent.
pub type Claims = Map<String, Value>;

/// How far clocks may differ, in seconds.
pub const SKEW: i64 = 120;
/// How far they may differ where it is about whether somebody signed in just now, in seconds.
const CLOSE: i64 = 60;
/// The longest subject (section 2), and the longest session id that is remembered, in bytes.
const MAX_ID: usize = 255;

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who gives it.
    pub issuer: &'a str,
    /// For whom: this server, as the provider knows it.
    pub client_id: &'a str,
    /// What was sent along.
    pub nonce: &'a str,
    /// The time, in milliseconds.
    pub now: i64,
}

/// Who came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is at the provider: never somebody else there.
    pub subject: String,
    /// The session there, if the provider tells of logouts by it.
    pub sid: Option<String>,
    /// When they last showed the provider who they are, in seconds, if it says so.
    pub auth_time: Option<i64>,
    /// Everything that is said of them.
    pub claims: Claims,
}

/// Whether somebody showed a provider who they are since a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// They did.
    Then,
    /// They did so before, and were let in for that.
    Before,
    /// The provider does not say when.
    Unsaid,
}

/// Why a token says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimProblem {
    /// Another provider gave it.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another client.
    #[error("it is for another client")]
    Audience,
    /// It is too old, or of the future.
    #[error("it is not of this time; look at the clocks of both servers")]
    Time,
    /// It is of another sign-in.
    #[error("it is of another sign-in (nonce)")]
    Nonce,
    /// It does not say whom it is about, or about two.
    #[error("it does not say whom it is about")]
    Subject,
    /// It is of another kind.
    #[error("it is of another kind")]
    Kind,
}

/// Whose the claims of an ID token are.
///
/// # Errors
/// Why they say nothing.
pub fn of_id_token(claims: Claims, expected: &Expected<'_>) -> Result<Identity, ClaimProblem> {
    check_source(&claims, expected.issuer, expected.client_id)?;
    let now = expected.now.div_euclid(1_000);
    let expires = number(&claims, "exp").ok_or(ClaimProblem::Time)?;
    let issued = number(&claims, "iat").ok_or(ClaimProblem::Time)?;
    if expires.saturating_add(SKEW) <= now || issued > now.saturating_add(SKEW) {
        return Err(ClaimProblem::Time);
    }
    let nonce = text(&claims, "nonce").unwrap_or_default();
    let is_same = !expected.nonce.is_empty() && bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes()));
    if !is_same {
        return Err(ClaimProblem::Nonce);
    }
    let subject = id(&claims, "sub").ok_or(ClaimProblem::Subject)?.to_owned();
    let sid = id(&claims, "sid").map(str::to_owned);
    let auth_time = number(&claims, "auth_time");
    Ok(Identity { subject, sid, auth_time, claims })
}

/// Who gave the claims, and for whom (section 3.1.3.7, points 2 to 5).
pub(super) fn check_source(claims: &Claims, issuer: &str, client_id: &str) -> Result<(), ClaimProblem> {
    if text(claims, "iss") != Some(issuer) {
        return Err(ClaimProblem::Issuer);
    }
    let audience: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let for_whom = claims.get("azp").map(|azp| azp.as_str().unwrap_or_default());
    let is_shared = audience.len() > 1 && for_whom.is_none();
    let is_own = audience.contains(&client_id) && for_whom.is_none_or(|azp| azp == client_id);
    if is_own && !is_shared { Ok(()) } else { Err(ClaimProblem::Audience) }
}

impl Identity {
    /// When they last showed the provider who they are (`auth_time`), in milliseconds; never later than `now`. Nothing where it
    /// does not say, or says what can't be.
    #[must_use]
    pub fn authenticated_at(&self, now: i64) -> Option<i64> {
        let at = self.auth_time?.checked_mul(1_000)?;
        (at >= 0 && at <= now.saturating_add(SKEW * 1_000)).then(|| at.min(now))
    }

    /// Whether they showed the provider who they are since then, as far as clocks agree. It is judged by what the ID token says,
    /// which is signed and has the nonce of this sign-in; that it was asked for (`prompt`, `max_age`) proves nothing, since whoever
    /// sits at the browser can strike it out.
    #[must_use]
    pub fn authenticated_since(&self, since: i64, now: i64) -> Since {
        match (self.auth_time, self.authenticated_at(now)) {
            (None, _) => Since::Unsaid,
            (Some(_), Some(at)) if at >= since.saturating_sub(CLOSE * 1_000) => Since::Then,
            _ => Since::Before,
        }
    }

    /// The same, with what the userinfo endpoint says; the ID token has the last word.
    ///
    /// # Errors
    /// Where that is about somebody else (section 5.3.2).
    pub fn with_userinfo(mut self, more: Claims) -> Result<Self, ClaimProblem> {
        if text(&more, "sub") != Some(self.subject.as_str()) {
            return Err(ClaimProblem::Subject);
        }
        for (name, value) in more {
            self.claims.entry(name).or_insert(value);
        }
        Ok(self)
    }
}

pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

/// An identifier: neither empty nor longer than it may be.
pub(super) fn id<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    text(claims, name).filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

/// Seconds; some providers write them with a fraction.
pub(super) fn number(claims: &Claims, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a time of day in seconds; beyond that it saturates")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{ClaimProblem, Claims, Expected, Identity, Since, of_id_token};

    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://id.example", client_id: "myelin", nonce: "n", now: 1_000_000_000 };

    fn token() -> Value {
        json!({
            "iss": "https://id.example", "aud": "myelin", "sub": "1234", "nonce": "n", "iat": 1_000_000,
            "exp": 1_000_300, "name": "Alice",
        })
    }

    fn read(token: &Value) -> Result<Identity, ClaimProblem> {
        of_id_token(token.as_object().unwrap().clone(), &EXPECTED)
    }

    #[test]
    fn a_token_is_of_its_issuer_for_this_client_of_this_sign_in_and_of_this_time() {
        assert_eq!(read(&token()).unwrap().subject, "1234");
        for (key, value, problem) in [
            ("iss", json!("https://id.example/"), ClaimProblem::Issuer),
            ("iss", json!(null), ClaimProblem::Issuer),
            ("aud", json!("other"), ClaimProblem::Audience),
            ("aud", json!(["myelin", "other"]), ClaimProblem::Audience),
            ("aud", json!([]), ClaimProblem::Audience),
            ("azp", json!("other"), ClaimProblem::Audience),
            ("azp", json!(1), ClaimProblem::Audience),
            ("nonce", json!("m"), ClaimProblem::Nonce),
            ("nonce", json!(null), ClaimProblem::Nonce),
            ("exp", json!(999_880), ClaimProblem::Time),
            ("exp", json!("soon"), ClaimProblem::Time),
            ("iat", json!(1_000_121), ClaimProblem::Time),
            ("iat", json!(null), ClaimProblem::Time),
            ("sub", json!(""), ClaimProblem::Subject),
            ("sub", json!(1234), ClaimProblem::Subject),
            ("sub", json!("x".repeat(256)), ClaimProblem::Subject),
        ] {
            let mut bad = token();
            bad[key] = value.clone();
            assert_eq!(read(&bad), Err(problem), "{key} {value}");
        }
        let mut shared = token();
        (shared["aud"], shared["azp"]) = (json!(["other", "myelin"]), json!("myelin"));
        assert!(read(&shared).is_ok());
        let nobody = Expected { nonce: "", ..EXPECTED };
        let mut empty = token();
        empty["nonce"] = json!("");
        assert!(of_id_token(empty.as_object().unwrap().clone(), &nobody).is_err());
    }

    #[test]
    fn who_signed_in_before_that_or_nobody_knows_when_has_not_done_so_since() {
        let (since, now) = (999_990_000, 1_000_000_000);
        for (said, expected, at) in [
            (json!(1_000_000), Since::Then, Some(1_000_000_000)),
            (json!(999_930), Since::Then, Some(999_930_000)),
            (json!(999_929), Since::Before, Some(999_929_000)),
            (json!(1_000_119.5), Since::Then, Some(1_000_000_000)),
            (json!(1_000_121), Since::Before, None),
            (json!(i64::MAX), Since::Before, None),
            (json!(-1), Since::Before, None),
            (json!(0), Since::Before, Some(0)),
            (json!(null), Since::Unsaid, None),
            (json!("1000000"), Since::Unsaid, None),
        ] {
            let mut token = token();
            token["auth_time"] = said.clone();
            let identity = read(&token).unwrap();
            assert_eq!(identity.authenticated_since(since, now), expected, "{said}");
            assert_eq!(identity.authenticated_at(now), at, "{said}");
        }
    }

    #[test]
    fn userinfo_adds_and_never_replaces_and_is_of_the_same_person() {
        let more = |value: Value| value.as_object().unwrap().clone();
        let identity = read(&token()).unwrap();
        let told =
            identity.clone().with_userinfo(more(json!({"sub": "1234", "name": "Eve", "email": "a@b.c"})));
        let told = told.unwrap();
        assert_eq!((&told.claims["name"], &told.claims["email"]), (&json!("Alice"), &json!("a@b.c")));
        assert!(identity.clone().with_userinfo(more(json!({"sub": "4321"}))).is_err());
        assert!(identity.with_userinfo(Claims::new()).is_err());
    }

    proptest! {
        #[test]
        fn nothing_that_is_left_out_or_garbled_is_taken(key in "iss|aud|sub|nonce|exp|iat", garbage in any::<Option<bool>>()) {
            let mut bad = token();
            match garbage {
                Some(value) => bad[&key] = json!(value),
                None => { bad.as_object_mut().unwrap().remove(&key); }
            }
            prop_assert!(read(&bad).is_err());
        }
    }
}
