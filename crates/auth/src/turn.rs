//! Credentials for TURN servers (client-server API, "Voice over IP"), as their "REST API" has them: a user name that
//! begins with when it expires, and a password that the TURN server can check with a secret it shares with this one
//! (draft-uberti-behave-turn-rest-00).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use myelin_model::Requester;
use myelin_runtime::Secret;
use sha1::Sha1;

use crate::Auth;

/// The TURN servers that users are told of.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Their URIs, such as `turn:turn.example.org?transport=udp`.
    pub uris: Vec<String>,
    /// What they share with this server.
    pub shared_secret: Secret<String>,
    /// How long credentials are good for.
    pub user_lifetime: Duration,
}

/// What a client shows to a TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnCredentials {
    /// When it expires, in seconds since the Unix epoch, and the user id.
    pub username: String,
    /// What proves it.
    pub password: Secret<String>,
    /// Where to.
    pub uris: Vec<String>,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Auth {
    /// Credentials for the TURN servers, if there are any.
    #[must_use]
    pub fn turn_credentials(&self, requester: &Requester) -> Option<TurnCredentials> {
        let turn = self.config().turn.as_ref()?;
        let now = Duration::from_millis(self.env.clock.now());
        Some(credentials(turn, requester.user_id.as_str(), now))
    }
}

fn credentials(turn: &TurnConfig, user_id: &str, now: Duration) -> TurnCredentials {
    let username = format!("{}:{user_id}", (now + turn.user_lifetime).as_secs());
    let key = turn.shared_secret.expose().as_bytes();
    let mut hmac = Hmac::<Sha1>::new_from_slice(key).expect("a key of HMAC may have any length");
    hmac.update(username.as_bytes());
    let password = Secret::new(STANDARD.encode(hmac.finalize().into_bytes()));
    TurnCredentials { username, password, uris: turn.uris.clone(), lifetime: turn.user_lifetime }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use myelin_runtime::Secret;

    use super::{TurnConfig, credentials};

    #[test]
    fn the_password_is_what_a_turn_server_computes() {
        let turn = TurnConfig {
            uris: vec!["turn:turn.example.org".to_owned()],
            shared_secret: Secret::new("north".to_owned()),
            user_lifetime: Duration::from_secs(3_600),
        };
        let made = credentials(&turn, "@alice:example.org", Duration::from_secs(1_433_895_918 - 3_600));
        assert_eq!(made.username, "1433895918:@alice:example.org");
        // printf '1433895918:@alice:example.org' | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(made.password.expose(), "U1hnS4Fn7mbCvacwlDvVjDlUr5M=");
    }
}
