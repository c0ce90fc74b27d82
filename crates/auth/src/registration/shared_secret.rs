//! Registration by a shared secret, in the form that Synapse's tools speak
//! (<https://element-hq.github.io/synapse/latest/admin_api/register_api.html>).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use myelin_runtime::Secret;
use sha1::Sha1;

use crate::audit::Actor;
use crate::{Auth, Created, NewAccount, NewSession, RegisterError};

/// How long a nonce is good.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many are remembered; past that the oldest goes.
const CAPACITY: usize = 1_024;

/// Nonces given out and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    given: Mutex<HashMap<String, Duration>>,
}

impl Nonces {
    fn give(&self, nonce: String, now: Duration) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, at| now.saturating_sub(*at) < LIFETIME);
        if given.len() >= CAPACITY
            && let Some(oldest) = given.iter().min_by_key(|(_, at)| **at).map(|(nonce, _)| nonce.clone())
        {
            given.remove(&oldest);
        }
        given.insert(nonce, now);
    }

    /// Whether the nonce was given a short time ago, for the first and last time.
    fn take(&self, nonce: &str, now: Duration) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.remove(nonce).is_some_and(|at| now.saturating_sub(at) < LIFETIME)
    }
}

/// A request that proves that whoever sends it knows the shared secret.
#[derive(Clone, Debug)]
pub struct SharedSecretRegistration {
    /// From [`Auth::registration_nonce`].
    pub nonce: String,
    /// The name wanted, as it was signed.
    pub name: String,
    /// The password.
    pub password: Secret<String>,
    /// Whether the user will administer this server.
    pub is_admin: bool,
    /// What kind of user it is.
    pub user_type: Option<String>,
    /// HMAC-SHA1 of the above under the secret, in hexadecimal.
    pub mac: String,
    /// The session to open at once, if any.
    pub session: Option<NewSession>,
}

/// Why such a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum SharedSecretError {
    /// There is no shared secret on this server.
    #[error("this server has no shared registration secret")]
    Off,
    /// The nonce is unknown, used or expired.
    #[error("the nonce is unknown or has expired")]
    Nonce,
    /// The request does not prove that the sender knows the secret.
    #[error("the mac does not fit the request")]
    Mac,
    /// The name or the password contains NUL, which separates the parts of what is signed.
    #[error("the user name and the password can't contain NUL")]
    Nul,
    /// The account was not made.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl Auth {
    /// A nonce for one request, good for a minute.
    ///
    /// # Errors
    /// [`SharedSecretError::Off`] where there is no shared secret.
    pub fn registration_nonce(&self) -> Result<String, SharedSecretError> {
        self.config.registration_shared_secret.as_ref().ok_or(SharedSecretError::Off)?;
        let nonce = self.env.random.alphanumeric(32);
        self.nonces.give(nonce.clone(), self.env.clock.elapsed());
        Ok(nonce)
    }

    /// Makes an account for a tool that knows the shared secret, whoever may register otherwise.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn register_by_secret(
        &self,
        request: SharedSecretRegistration,
    ) -> Result<Created, SharedSecretError> {
        let secret = self.config.registration_shared_secret.as_ref().ok_or(SharedSecretError::Off)?;
        if !self.nonces.take(&request.nonce, self.env.clock.elapsed()) {
            return Err(SharedSecretError::Nonce);
        }
        if request.name.contains('\0') || request.password.expose().contains('\0') {
            return Err(SharedSecretError::Nul);
        }
        if !proves(secret, &request) {
            return Err(SharedSecretError::Mac);
        }
        let new = NewAccount {
            user_id: self.available(&request.name).await?,
            password: Some(request.password),
            is_admin: request.is_admin,
            user_type: request.user_type,
            registration_token: None,
            invitation: None,
            email: None,
            accepts_terms: false,
            person: None,
            session: request.session,
        };
        Ok(self.create_account(&Actor::SharedSecret, new).await?)
    }
}

/// Whether the request's code is the one that the secret gives, compared in constant time.
fn proves(secret: &Secret<String>, request: &SharedSecretRegistration) -> bool {
    let Some(mac) = from_hex(&request.mac) else { return false };
    let Ok(mut hmac) = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes()) else { return false };
    let admin = if request.is_admin { "admin" } else { "notadmin" };
    let parts = [request.nonce.as_str(), &request.name, request.password.expose(), admin];
    for (n, part) in parts.into_iter().chain(request.user_type.as_deref()).enumerate() {
        if n > 0 {
            hmac.update(b"\0");
        }
        hmac.update(part.as_bytes());
    }
    hmac.verify_slice(&mac).is_ok()
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use myelin_runtime::Secret;

    use super::{CAPACITY, Nonces, SharedSecretRegistration, proves};

    fn request(user_type: Option<&str>, mac: &str) -> SharedSecretRegistration {
        SharedSecretRegistration {
            nonce: "thisisanonce".to_owned(),
            name: "pepper_roni".to_owned(),
            password: Secret::new("pizza".to_owned()),
            is_admin: true,
            user_type: user_type.map(str::to_owned),
            mac: mac.to_owned(),
            session: None,
        }
    }

    #[test]
    fn the_code_is_that_of_other_implementations() {
        // Made with Python's hmac module: key "shared_secret", message "thisisanonce\0pepper_roni\0pizza\0admin", and
        // the same with "\0bot" after it.
        let secret = Secret::new("shared_secret".to_owned());
        let (plain, bot) = (PLAIN, BOT);
        assert!(proves(&secret, &request(None, plain)));
        assert!(proves(&secret, &request(Some("bot"), bot)));
        assert!(proves(&secret, &request(None, &plain.to_uppercase())));
        assert!(!proves(&secret, &request(Some("bot"), plain)));
        assert!(!proves(&Secret::new("other".to_owned()), &request(None, plain)));
        assert!(!proves(&secret, &SharedSecretRegistration { is_admin: false, ..request(None, plain) }));
        assert!(!proves(&secret, &request(None, "")));
        assert!(!proves(&secret, &request(None, &"é".repeat(20))));
    }

    const PLAIN: &str = "48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7";
    const BOT: &str = "2ab701ea6618f3a4ffffc98f2116ea6ff5157182";

    #[test]
    fn a_nonce_is_good_once_and_for_a_minute_and_they_are_bounded() {
        let nonces = Nonces::default();
        let at = Duration::from_secs;
        nonces.give("a".to_owned(), at(0));
        assert!(nonces.take("a", at(59)));
        assert!(!nonces.take("a", at(59)));
        nonces.give("b".to_owned(), at(0));
        assert!(!nonces.take("b", at(60)));
        for n in 0..5_000 {
            nonces.give(n.to_string(), at(1));
        }
        assert!(nonces.given.lock().unwrap().len() <= CAPACITY);
    }
}
