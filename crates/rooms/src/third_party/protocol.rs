//! What is said to an identity server (<https://spec.matrix.org/v1.19/identity-service-api/>), and what its answers mean.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use myelin_room_core::third_party::verifying_key;
use myelin_runtime::Secret;
use ruma::{OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::ThirdPartyError;

/// The longest texts that are taken from an identity server, in bytes.
const LONGEST_TOKEN: usize = 255;
const LONGEST_TEXT: usize = 1_024;
/// The most keys of one invite.
const MOST_KEYS: usize = 8;
/// How often a lookup is tried whose pepper was changed meanwhile.
const TRIES: usize = 2;

/// The door to identity servers. Who implements it keeps users from reaching where they must not.
pub trait IdentityServers: Send + Sync + 'static {
    /// Sends a request: `POST` where it has a body, `GET` otherwise.
    fn ask<'a>(&'a self, request: IdentityRequest<'a>) -> BoxFuture<'a, Result<IdentityAnswer, NoAnswer>>;
}

/// A request to an identity server.
#[derive(Clone, Debug)]
pub struct IdentityRequest<'a> {
    /// Where it goes.
    pub to: To<'a>,
    /// The user's access token there.
    pub token: Option<&'a Secret<String>>,
    /// A JSON body.
    pub body: Option<Value>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// To an endpoint of an identity server.
    Server(&'a OwnedServerName, &'static str),
    /// To a URL by which a key is shown to be valid, with the key as its parameter.
    Key(&'a str, &'a str),
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct IdentityAnswer {
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Requests must not go there.
    #[error("the identity server is not one that this server speaks to")]
    Refused,
    /// Nobody answered, or not as it should be.
    #[error("the identity server does not answer")]
    Unreachable,
}

/// An identity server, on a user's behalf.
pub(super) struct Talk<'a> {
    pub(super) door: &'a dyn IdentityServers,
    pub(super) server: &'a OwnedServerName,
    pub(super) token: &'a Secret<String>,
}

/// What came of an invite.
#[derive(Debug)]
pub(super) enum Stored {
    /// It waits for somebody to show that the address is theirs: the token, and the content of `m.room.third_party_invite`.
    Waits(String, Map<String, Value>),
    /// The address is this user's.
    Known(OwnedUserId),
}

impl Talk<'_> {
    /// The users whose these addresses (address and medium) are, as far as they are known.
    pub(super) async fn look_up(
        &self,
        addresses: &[(&str, &str)],
    ) -> Result<Vec<Option<OwnedUserId>>, ThirdPartyError> {
        for _ in 0..TRIES {
            let details: HashDetails = self.get("/_matrix/identity/v2/hash_details").await?;
            let (algorithm, queries) = details.queries(addresses)?;
            let body =
                json!({ "algorithm": algorithm, "pepper": details.lookup_pepper, "addresses": queries });
            match self.post::<Mappings>("/_matrix/identity/v2/lookup", body).await? {
                Ok(Mappings { mappings }) => {
                    let user = |query: &String| mappings.get(query)?.as_str()?.try_into().ok();
                    return Ok(queries.iter().map(user).collect());
                }
                Err(refusal) if refusal.errcode == "M_INVALID_PEPPER" => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(ThirdPartyError::BadAnswer)
    }

    /// Leaves an invite there for whoever shows that the address is theirs.
    pub(super) async fn store_invite(&self, body: Value) -> Result<Stored, ThirdPartyError> {
        match self.post::<StoredInvite>("/_matrix/identity/v2/store-invite", body).await? {
            Ok(stored) => stored.content(),
            Err(Refusal { errcode, mxid: Some(user), .. }) if errcode == "M_THREEPID_IN_USE" => {
                Ok(Stored::Known(user.try_into().map_err(|_| ThirdPartyError::BadAnswer)?))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &'static str) -> Result<T, ThirdPartyError> {
        Ok(self.send(path, None).await??)
    }

    async fn post<T: for<'de> Deserialize<'de>>(
        &self,
        path: &'static str,
        body: Value,
    ) -> Result<Result<T, Refusal>, ThirdPartyError> {
        self.send(path, Some(body)).await
    }

    async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        path: &'static str,
        body: Option<Value>,
    ) -> Result<Result<T, Refusal>, ThirdPartyError> {
        let request = IdentityRequest { to: To::Server(self.server, path), token: Some(self.token), body };
        let answer = self.door.ask(request).await?;
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body).map(Ok).map_err(|_| ThirdPartyError::BadAnswer);
        }
        let mut refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        refusal.status = answer.status;
        Ok(Err(refusal))
    }
}

/// Whether a key is still one of an identity server's.
pub(super) async fn is_valid(
    door: &dyn IdentityServers,
    url: &str,
    public_key: &str,
) -> Result<bool, ThirdPartyError> {
    #[derive(Deserialize)]
    struct Validity {
        valid: bool,
    }
    let request = IdentityRequest { to: To::Key(url, public_key), token: None, body: None };
    let answer = door.ask(request).await?;
    let validity: Validity = serde_json::from_slice(&answer.body).map_err(|_| ThirdPartyError::BadAnswer)?;
    Ok(answer.status == 200 && validity.valid)
}

/// An identity server's error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(skip)]
    status: u16,
    errcode: String,
    error: String,
    mxid: Option<String>,
}

impl From<Refusal> for ThirdPartyError {
    fn from(refusal: Refusal) -> Self {
        match (refusal.status, &*refusal.errcode) {
            (_, "M_TERMS_NOT_SIGNED") => Self::Terms,
            (401, _) | (_, "M_UNAUTHORIZED") => Self::Token,
            _ => {
                let end = refusal.error.floor_char_boundary(LONGEST_TEXT);
                Self::Refused(refusal.error[..end].to_owned())
            }
        }
    }
}

#[derive(Deserialize)]
struct HashDetails {
    lookup_pepper: String,
    algorithms: Vec<String>,
}

impl HashDetails {
    /// The algorithm, and each address as it wants it.
    fn queries(&self, addresses: &[(&str, &str)]) -> Result<(&'static str, Vec<String>), ThirdPartyError> {
        let has = |name: &str| self.algorithms.iter().any(|algorithm| algorithm == name);
        let pepper = &self.lookup_pepper;
        if has("sha256") {
            let hash = |(address, medium): &(&str, &str)| {
                BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{address} {medium} {pepper}")))
            };
            Ok(("sha256", addresses.iter().map(hash).collect()))
        } else if has("none") {
            Ok(("none", addresses.iter().map(|(address, medium)| format!("{address} {medium}")).collect()))
        } else {
            Err(ThirdPartyError::BadAnswer)
        }
    }
}

#[derive(Deserialize)]
struct Mappings {
    mappings: Map<String, Value>,
}

#[derive(Deserialize)]
struct StoredInvite {
    token: String,
    public_keys: Vec<PublicKey>,
    display_name: String,
}

#[derive(Deserialize)]
struct PublicKey {
    public_key: String,
    key_validity_url: String,
}

impl StoredInvite {
    /// The content of `m.room.third_party_invite`, if the answer is one that the room can live with.
    fn content(self) -> Result<Stored, ThirdPartyError> {
        let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '=' | '_' | '-');
        let token_fits = (1..=LONGEST_TOKEN).contains(&self.token.len()) && self.token.chars().all(of_token);
        let key_fits = |key: &PublicKey| {
            key.key_validity_url.len() <= LONGEST_TEXT && verifying_key(&key.public_key).is_some()
        };
        let keys = &self.public_keys;
        let first = keys.first().filter(|_| keys.len() <= MOST_KEYS && keys.iter().all(key_fits));
        let (Some(first), true, true) = (first, token_fits, self.display_name.len() <= LONGEST_TEXT) else {
            return Err(ThirdPartyError::BadAnswer);
        };
        let each = |key: &PublicKey| json!({ "public_key": key.public_key, "key_validity_url": key.key_validity_url });
        let content = json!({
            "display_name": self.display_name,
            "public_key": first.public_key,
            "key_validity_url": first.key_validity_url,
            "public_keys": keys.iter().map(each).collect::<Vec<_>>(),
        });
        let Value::Object(content) = content else { return Err(ThirdPartyError::BadAnswer) };
        Ok(Stored::Waits(self.token, content))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{HashDetails, Stored, StoredInvite};

    #[test]
    fn addresses_are_hashed_as_the_specification_shows() {
        let details = |algorithms: &[&str]| HashDetails {
            lookup_pepper: "matrixrocks".to_owned(),
            algorithms: algorithms.iter().map(|name| (*name).to_owned()).collect(),
        };
        let addresses = [("alice@example.com", "email"), ("18005552067", "msisdn")];
        let (algorithm, queries) = details(&["none", "sha256"]).queries(&addresses).unwrap();
        assert_eq!(algorithm, "sha256");
        assert_eq!(
            queries,
            ["4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc", "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"]
        );
        let (algorithm, queries) = details(&["none"]).queries(&addresses[..1]).unwrap();
        assert_eq!((algorithm, queries), ("none", vec!["alice@example.com email".to_owned()]));
        assert!(details(&["md5"]).queries(&addresses).is_err());
    }

    #[test]
    fn an_answer_that_no_room_can_live_with_is_none() {
        let key = json!({
            "public_key": "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI", "key_validity_url": "https://id/valid",
        });
        let content = |answer: serde_json::Value| {
            let stored: StoredInvite = serde_json::from_value(answer).unwrap();
            stored.content()
        };
        let good = json!({ "token": "a.B=1_-", "public_keys": [key, key], "display_name": "a...@b..." });
        let Ok(Stored::Waits(token, made)) = content(good.clone()) else { panic!("it is refused") };
        assert_eq!((token.as_str(), &made["public_key"]), ("a.B=1_-", &key["public_key"]));
        assert_eq!(made["public_keys"], json!([key, key]));
        for (field, odd) in [
            ("token", json!("")),
            ("token", json!("a b")),
            ("token", json!("a".repeat(256))),
            ("public_keys", json!([])),
            ("public_keys", json!(vec![key.clone(); 9])),
            ("public_keys", json!([{ "public_key": "short", "key_validity_url": "https://id/valid" }])),
            ("display_name", json!("x".repeat(2_000))),
        ] {
            let mut answer = good.clone();
            answer[field] = odd;
            assert!(content(answer.clone()).is_err(), "{answer}");
        }
    }
}
