//! The service on the memory engine, with a clock that the tests move.

mod accounts;
mod directory;
mod emails;
mod factors;
mod guesses;
mod interrupted;
mod invitations;
mod login_tokens;
mod oauth;
mod passkeys;
mod registration;
mod sessions;
mod tokens;
mod uia;
mod upstream;

use std::sync::{Arc, Mutex};

use myelin_model::Requester;
use myelin_runtime::{Env, ManualClock, Sealer, Secret};
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::auth::DeviceSeen;
use myelin_store::{Batch, Engine, Identity, Keyspace, Reader, Scan};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, server_name};

use self::interrupted::Interrupted;
use crate::{
    Actor, Auth, AuthConfig, BreachedPasswords, Identifier, Issued, Login, LoginError, Mailer, NewAccount,
    NewSession, Origin, PasswordCost, RefreshTokens, SessionEnd,
};

const PASSWORD: &str = "correct horse";

/// Remembers which devices ended, as a service that keeps things for them would.
#[derive(Default)]
struct Ends(Mutex<Vec<String>>);

impl SessionEnd for Ends {
    fn extend(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        // Something of its own goes in the same commit: here a row that the tests put there.
        batch.delete::<DeviceSeen>(&(user_id.to_owned(), DeviceId::new_hook(device_id)));
        self.0.lock().unwrap().push(device_id.to_string());
    }

    fn renamed(&self, _batch: &mut Batch, _user_id: &UserId, device_id: &DeviceId) {
        self.0.lock().unwrap().push(format!("renamed {device_id}"));
    }
}

trait Hook {
    fn new_hook(device_id: &DeviceId) -> OwnedDeviceId;
}

impl Hook for DeviceId {
    fn new_hook(device_id: &DeviceId) -> OwnedDeviceId {
        OwnedDeviceId::from(format!("{device_id}-kept-by-another-service"))
    }
}

struct World {
    auth: Arc<Auth>,
    engine: Arc<Interrupted>,
    clock: Arc<ManualClock>,
    ends: Arc<Ends>,
}

fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut AuthConfig)) -> World {
    build(None, None, change)
}

/// One with a list of stolen passwords.
fn listing(list: Arc<dyn BreachedPasswords>) -> World {
    build(None, Some(list), |_| {})
}

/// One that sends mail.
fn world_mailing(mailer: Arc<dyn Mailer>, change: impl FnOnce(&mut AuthConfig)) -> World {
    build(Some(mailer), None, change)
}

fn build(
    mailer: Option<Arc<dyn Mailer>>,
    breached: Option<Arc<dyn BreachedPasswords>>,
    change: impl FnOnce(&mut AuthConfig),
) -> World {
    let engine =
        Arc::new(Interrupted::new(MemoryEngine::new(&Identity { server_name: "example.org".to_owned() })));
    let (env, clock) = Env::seeded(7);
    let ends = Arc::new(Ends::default());
    let mut config =
        AuthConfig::new(server_name!("example.org").to_owned(), "https://example.org".to_owned());
    config.password_cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
    change(&mut config);
    let ports: Vec<Arc<dyn SessionEnd>> = vec![Arc::clone(&ends) as Arc<dyn SessionEnd>];
    let sealer = Sealer::new(&[Secret::new([1; 32])], env.random.clone());
    let auth = Auth::new(Arc::clone(&engine) as Arc<dyn Engine>, env, config, ports, sealer);
    let auth = match mailer {
        Some(mailer) => auth.with_mailer(mailer),
        None => auth,
    };
    let auth = match breached {
        Some(list) => auth.with_breached_passwords(list),
        None => auth,
    };
    World { auth: Arc::new(auth), engine, clock, ends }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn user(name: &str) -> OwnedUserId {
    OwnedUserId::try_from(format!("@{name}:example.org")).unwrap()
}

impl World {
    async fn account(&self, name: &str) -> OwnedUserId {
        let new = NewAccount::new(user(name), secret(PASSWORD));
        self.auth.create_account(&Actor::Operator, new).await.unwrap().user_id
    }

    async fn try_login(&self, name: &str, password: &str, session: NewSession) -> Result<Issued, LoginError> {
        self.auth
            .login(Login {
                user: Identifier::User(name.to_owned()),
                password: secret(password),
                session,
                origin: Origin::default(),
            })
            .await
    }

    async fn login(&self, name: &str, device_id: &str, refresh: RefreshTokens) -> Issued {
        let session = NewSession { device_id: Some(device_id.into()), display_name: None, refresh };
        self.try_login(name, PASSWORD, session).await.unwrap()
    }

    async fn requester(&self, issued: &Issued) -> Requester {
        self.auth.authenticate(issued.access_token.expose()).await.unwrap()
    }

    async fn works(&self, issued: &Issued) -> bool {
        self.auth.authenticate(issued.access_token.expose()).await.is_ok()
    }

    async fn rows<K: Keyspace>(&self) -> Vec<K> {
        let snapshot = self.engine.snapshot().await.unwrap();
        snapshot.scan::<K>(Scan::prefix::<K>((), 10_000)).await.unwrap()
    }
}
