use std::time::Duration;

use myelin_store::schema::auth::LoginToken;

use super::{World, secret, world};
use crate::{
    Actor, Issued, LoginError, NewSession, OtherSessions,
    RefreshTokens::{Supported, Unsupported},
};

async fn token(world: &World, issued: &Issued) -> String {
    let requester = world.requester(issued).await;
    world.auth.login_token(&requester).await.unwrap().unwrap().token.into_inner()
}

async fn log_in(world: &World, token: &str) -> Result<Issued, LoginError> {
    world.auth.login_by_token(token, &NewSession::default()).await
}

async fn refused(world: &World, token: &str) -> bool {
    matches!(log_in(world, token).await, Err(LoginError::Token))
}

#[tokio::test]
async fn a_login_token_opens_one_session_of_its_user_and_is_stored_as_a_hash() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let token = token(&world, &phone).await;
    assert!(world.rows::<LoginToken>().await.iter().all(|row| row.hash != token.as_bytes()));
    let issued = log_in(&world, &token).await.unwrap();
    assert_eq!(issued.user_id, phone.user_id);
    assert_ne!(issued.device_id, phone.device_id);
    assert!(refused(&world, &token).await, "it is good once");
    assert!(refused(&world, "myelin_lt_made_up").await && refused(&world, phone.access_token.expose()).await);
}

#[tokio::test]
async fn of_two_who_bring_one_login_token_one_gets_in() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let token = token(&world, &phone).await;
    let (one, other) = tokio::join!(log_in(&world, &token), log_in(&world, &token));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
}

#[tokio::test]
async fn a_login_token_lives_two_minutes_and_only_as_long_as_its_session() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Supported).await;
    let late = token(&world, &phone).await;
    world.clock.advance(Duration::from_secs(120));
    assert!(refused(&world, &late).await);
    world.auth.prune_login_tokens().await.unwrap();
    assert!(world.rows::<LoginToken>().await.is_empty());

    let orphan = token(&world, &phone).await;
    let requester = world.requester(&phone).await;
    world.auth.logout(phone.access_token.expose()).await.unwrap();
    assert!(refused(&world, &orphan).await);
    assert!(world.auth.login_token(&requester).await.unwrap().is_none(), "an ended session makes none");
}

#[tokio::test]
async fn a_new_password_ends_login_tokens_of_the_sessions_that_it_ends() {
    let world = world();
    let user_id = world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let token = token(&world, &phone).await;
    let password = secret("battery staple");
    world.auth.reset_password(&Actor::Operator, &user_id, password, OtherSessions::End).await.unwrap();
    assert!(refused(&world, &token).await);
}

#[tokio::test]
async fn a_locked_account_is_not_logged_in_to_by_token_and_the_token_waits() {
    let world = world();
    let user_id = world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let token = token(&world, &phone).await;
    world.auth.lock(&Actor::Operator, &user_id).await.unwrap();
    assert!(matches!(log_in(&world, &token).await, Err(LoginError::Locked)));
    world.auth.unlock(&Actor::Operator, &user_id).await.unwrap();
    assert!(log_in(&world, &token).await.is_ok());
}

#[tokio::test]
async fn a_session_has_few_login_tokens_at_once_and_the_oldest_go() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let mut made = Vec::new();
    for _ in 0..6 {
        made.push(token(&world, &phone).await);
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(world.rows::<LoginToken>().await.len(), 4);
    assert!(refused(&world, &made[1]).await);
    assert!(log_in(&world, &made[2]).await.is_ok());
}
