//! Links by which somebody makes an account: good once, for a time, and for nobody else.

use std::sync::Arc;
use std::time::Duration;

use myelin_runtime::Secret;
use myelin_store::schema::auth::Invitation;

use super::{PASSWORD, World, secret, user, world};
use crate::{Actor, Invited, NewAccount, RegisterError};

const WEEK: i64 = 7 * 86_400_000;

impl World {
    async fn accept(&self, name: &str, shown: &Secret<String>) -> Result<bool, RegisterError> {
        let mut new = NewAccount::new(user(name), secret(PASSWORD));
        new.invitation = Some(shown.clone());
        let created = self.auth.create_account(&Actor::User(user(name)), new).await?;
        Ok(self.auth.account(&created.user_id).await.unwrap().unwrap().is_admin)
    }
}

#[tokio::test]
async fn an_invitation_makes_one_account_as_it_was_meant_in_time() {
    let world = world();
    let auth = &world.auth;
    let plain = auth.invite(&Actor::Operator, false, WEEK).await.unwrap();
    let admin = auth.invite(&Actor::Operator, true, WEEK).await.unwrap();
    let late = auth.invite(&Actor::Operator, true, WEEK - 1).await.unwrap();
    let rows = format!("{:?}", world.rows::<Invitation>().await);
    assert!(!rows.contains(plain.expose().as_str()), "it is kept as its hash");
    assert_eq!(auth.invited(admin.expose()).await.unwrap(), Some(Invited { is_admin: true }));
    assert_eq!(auth.invited("myelin_in_guess").await.unwrap(), None);
    assert!(!world.accept("alice", &plain).await.unwrap());
    assert!(matches!(world.accept("bob", &plain).await, Err(RegisterError::Token)));
    world.clock.advance(Duration::from_millis(u64::try_from(WEEK).unwrap() - 1));
    assert!(world.accept("bob", &admin).await.unwrap());
    assert!(matches!(world.accept("carol", &late).await, Err(RegisterError::Token)));
    auth.prune_invitations().await.unwrap();
    assert!(world.rows::<Invitation>().await.is_empty());
}

#[tokio::test]
async fn of_two_who_accept_one_invitation_at_once_one_gets_an_account() {
    let world = world();
    let shown = world.auth.invite(&Actor::Operator, true, WEEK).await.unwrap();
    let (auth, same) = (Arc::clone(&world.auth), shown.clone());
    world.engine.before_next_commit(async move {
        let mut new = NewAccount::new(user("mallory"), secret(PASSWORD));
        new.invitation = Some(same);
        auth.create_account(&Actor::User(user("mallory")), new).await.unwrap();
    });
    assert!(matches!(world.accept("alice", &shown).await, Err(RegisterError::Token)));
}

#[tokio::test]
async fn the_first_administrator_is_invited_anew_at_each_start_until_there_is_an_account() {
    let world = world();
    let auth = &world.auth;
    let lost = auth.set_up().await.unwrap().unwrap();
    let shown = auth.set_up().await.unwrap().unwrap();
    assert_eq!(auth.invited(lost.expose()).await.unwrap(), None);
    assert!(world.accept("alice", &shown).await.unwrap());
    assert!(auth.set_up().await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_is_made_the_first_administrator_who_is_not_the_first() {
    let world = world();
    let shown = world.auth.set_up().await.unwrap().unwrap();
    world.account("alice").await;
    assert!(matches!(world.accept("mallory", &shown).await, Err(RegisterError::Token)));
}
