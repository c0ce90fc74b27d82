//! Users of the tests: registered, logged in, in rooms together.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Answer, Client};

/// The password of every user in these tests.
pub const PASSWORD: &str = "correct horse battery";

/// A user's session on one device.
#[derive(Clone, Debug)]
pub struct Session {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The access token.
    pub token: String,
    /// The refresh token, where one was asked for.
    pub refresh_token: Option<String>,
    /// The user.
    pub user_id: String,
    /// The device.
    pub device_id: String,
}

impl Session {
    /// Registers a user where registration is open.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn register(address: SocketAddr, name: &str) -> Result<Self> {
        let path = "/_matrix/client/v3/register";
        let mut client = Client::new(address);
        let mut wish = json!({"username": name, "password": PASSWORD, "device_id": name.to_uppercase()});
        let first = client.post(path, &wish).await?;
        wish["auth"] = json!({"type": "m.login.dummy", "session": first.json()["session"]});
        let answer = if first.status.is_success() { first } else { client.post(path, &wish).await? };
        Self::read(address, &answer)
    }

    /// Logs in with [`PASSWORD`].
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn log_in(address: SocketAddr, name: &str) -> Result<Self> {
        Self::log_in_with(address, name, PASSWORD).await
    }

    /// Logs in with another password.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn log_in_with(address: SocketAddr, name: &str, password: &str) -> Result<Self> {
        let answer = Client::new(address).post("/_matrix/client/v3/login", &login(name, password)).await?;
        Self::read(address, &answer)
    }

    /// Reads the answer to a login or a registration.
    ///
    /// # Errors
    /// When it is no success.
    pub fn read(address: SocketAddr, answer: &Answer) -> Result<Self> {
        let body = answer.json();
        ensure!(answer.status.is_success(), "{} {body}", answer.status);
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        Ok(Self {
            address,
            token: text("access_token").context("no access token")?,
            refresh_token: text("refresh_token"),
            user_id: text("user_id").context("no user id")?,
            device_id: text("device_id").context("no device id")?,
        })
    }

    /// A connection of this session's own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::with_token(self.address, &self.token)
    }

    /// Makes a room that the given users join.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn room_with(&self, others: &[&Self]) -> Result<String> {
        let mut client = self.client();
        let wish = json!({"preset": "public_chat", "name": "a room"});
        let made = client.post("/_matrix/client/v3/createRoom", &wish).await?;
        ensure!(made.status.is_success(), "{} {}", made.status, made.json());
        let room = made.json()["room_id"].as_str().context("no room id")?.to_owned();
        for other in others {
            let path = format!("/_matrix/client/v3/rooms/{room}/join");
            let joined = other.client().post(&path, &json!({})).await?;
            ensure!(joined.status.is_success(), "{} {}", joined.status, joined.json());
        }
        Ok(room)
    }
}

/// The body of a login.
#[must_use]
pub fn login(name: &str, password: &str) -> Value {
    let identifier = json!({"type": "m.id.user", "user": name});
    json!({"type": "m.login.password", "identifier": identifier, "password": password})
}
