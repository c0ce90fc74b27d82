//! ID tokens: how they are signed, and by which keys they are known.

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use myelin_runtime::{RsaKey, Secret};
use myelin_store::schema::oauth::IdentityKey;
use serde_json::{Value, json};

use super::{Challenge, Oauth, Params, REDIRECT, REGISTRATION, Request, Shown, VERIFIER};
use crate::Redeemed;

const MONTH: Duration = Duration::from_secs(30 * 86_400);

impl Oauth {
    /// The ID token that a client gets which registered with this algorithm.
    async fn id_token(&self, algorithm: Option<&str>) -> String {
        let auth = &self.world.auth;
        let mut registration: Value = serde_json::from_str(REGISTRATION).unwrap();
        if let Some(algorithm) = algorithm {
            registration["id_token_signed_response_alg"] = json!(algorithm);
        }
        let client = auth.register_client(registration.to_string().as_bytes(), None).await.unwrap();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &client.client_id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("response_type", "code")
            .append_pair("scope", "openid profile")
            .append_pair("nonce", "once")
            .append_pair("code_challenge", Challenge::of(VERIFIER).unwrap().as_str())
            .append_pair("code_challenge_method", "S256")
            .finish();
        let request = Request::parse(&Params::parse(query.as_bytes()).unwrap(), &client.metadata).unwrap();
        let code = auth.approve(&self.browser().await, &request).await.unwrap();
        let shown = Shown { client_id: &client.client_id, redirect_uri: REDIRECT, verifier: VERIFIER };
        let Redeemed::Identity(tokens) = auth.redeem_code(code.expose(), &shown).await.unwrap() else {
            panic!("a session")
        };
        tokens.id_token.expose().clone()
    }

    async fn keys(&self) -> JwkSet {
        serde_json::from_value(self.world.auth.identity_keys().await.unwrap()).unwrap()
    }

    /// The ids of the published keys of RSA, the oldest first.
    async fn rsa_ids(&self) -> Vec<String> {
        let is_rsa = |parameters: &AlgorithmParameters| matches!(parameters, AlgorithmParameters::RSA(_));
        let keys = self.keys().await.keys.into_iter().filter(|key| is_rsa(&key.algorithm));
        keys.map(|key| key.common.key_id.unwrap()).collect()
    }
}

/// What a client does: finds the key by its id, and verifies.
fn read(token: &str, keys: &JwkSet) -> Option<Value> {
    let header = decode_header(token).unwrap();
    let key = keys.find(&header.kid?)?;
    assert_eq!(key.common.key_algorithm.unwrap().to_string(), format!("{:?}", header.alg));
    let mut validation = Validation::new(header.alg);
    (validation.validate_exp, validation.validate_aud) = (false, false);
    decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).ok().map(|data| data.claims)
}

#[tokio::test]
async fn an_id_token_is_signed_as_its_client_wants_and_by_rsa_where_it_says_nothing() {
    let oauth = Oauth::new().await;
    for (wanted, expected) in
        [(None, Algorithm::RS256), (Some("RS256"), Algorithm::RS256), (Some("EdDSA"), Algorithm::EdDSA)]
    {
        let token = oauth.id_token(wanted).await;
        assert_eq!(decode_header(&token).unwrap().alg, expected, "{wanted:?}");
        let keys = oauth.keys().await;
        let claims = read(&token, &keys).unwrap();
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("@alice:example.org"), &json!("once")));
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = rest.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", "eyJzdWIiOiJAYm9iOmV4YW1wbGUub3JnIn0");
        assert_eq!(read(&forged, &keys), None, "{wanted:?}");
    }
}

#[tokio::test]
async fn keys_of_rsa_outlive_a_restart_last_a_month_and_are_known_before_and_after() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    // Of those who ask at once, one makes them.
    let (first, same) = tokio::join!(oauth.rsa_ids(), oauth.rsa_ids());
    assert_eq!(first, same);
    assert_eq!(first.len(), 2, "of this month and the next");
    auth.identity_keys.lock().await.clear();
    assert_eq!(oauth.rsa_ids().await, first, "they were read again");
    let token = oauth.id_token(None).await;
    assert_eq!(decode_header(&token).unwrap().kid.as_ref(), Some(&first[0]));

    oauth.world.clock.advance(MONTH);
    let second = oauth.rsa_ids().await;
    assert_eq!(second[..2], first[..], "the one that was announced");
    assert_eq!(second.len(), 3);
    let newer = oauth.id_token(None).await;
    assert_eq!(decode_header(&newer).unwrap().kid.as_ref(), Some(&first[1]));
    assert!(read(&token, &oauth.keys().await).is_some(), "what was signed last month is still known");

    oauth.world.clock.advance(MONTH);
    auth.prune_identity_keys().await.unwrap();
    let third = oauth.rsa_ids().await;
    assert_eq!(third[..2], second[1..]);
    assert_eq!(read(&token, &oauth.keys().await), None);
    assert_eq!(oauth.world.rows::<IdentityKey>().await.len(), 3);
}

#[tokio::test]
async fn the_store_has_no_key_of_rsa_that_opens_without_the_server_s() {
    let oauth = Oauth::new().await;
    let _ = oauth.rsa_ids().await;
    let rows = oauth.world.rows::<IdentityKey>().await;
    for row in &rows {
        assert!(RsaKey::from_pkcs8(&Secret::new(row.sealed.to_vec())).is_none());
    }
    // Nor does one of another month, or one that somebody put there.
    let auth = &oauth.world.auth;
    let mut batch = auth.batch("identity_key");
    batch.put(&IdentityKey { month: rows[0].month, ..rows[1].clone() });
    auth.engine.commit(batch).await.unwrap();
    auth.identity_keys.lock().await.clear();
    let before = oauth.rsa_ids().await;
    assert_ne!(before[0], before[1], "another one was made in its place");
}
