use std::sync::Arc;
use std::time::Duration;

use myelin_oauth_core::error::ErrorCode;
use myelin_store::schema::auth::{AccessToken, Device, RefreshToken};
use myelin_store::schema::oauth::OauthGrant;

use super::{Oauth, refresh_token, refusal};
use crate::{Act, Actor, AuthenticateError, EndedDevice, RefreshError, RefreshTokens, Told};

#[tokio::test]
async fn a_lost_answer_is_forgiven_until_the_new_tokens_are_used() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let lost = oauth.refresh(&first).await.unwrap();
    let second = oauth.refresh(&first).await.unwrap();
    assert_ne!(refresh_token(&lost), refresh_token(&second));
    assert_eq!(second.scope, first.scope);
    assert!(oauth.works(&second).await);
    let third = oauth.refresh(&second).await.unwrap();
    assert!(oauth.works(&third).await);
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_session_for_whoever_holds_it() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let second = oauth.refresh(&first).await.unwrap();
    assert!(oauth.works(&second).await);
    assert_eq!(refusal(oauth.refresh(&first).await), ErrorCode::InvalidGrant);
    assert!(!oauth.works(&second).await);
    assert_eq!(refusal(oauth.refresh(&second).await), ErrorCode::InvalidGrant);
    assert!(oauth.world.rows::<Device>().await.is_empty());
    assert!(oauth.world.rows::<RefreshToken>().await.is_empty());
    assert_eq!(*oauth.world.ends.0.lock().unwrap(), ["PHONE"]);
    let told = oauth.world.auth.audit_of(&oauth.user_id, 1).await.unwrap();
    assert_eq!(told[0].told, Told::Act(Act::OauthTokenReused));
}

#[tokio::test]
async fn one_that_was_spent_long_ago_is_known_all_the_same() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let mut newest = first.clone();
    for _ in 0..5 {
        newest = oauth.refresh(&newest).await.unwrap();
        assert!(oauth.works(&newest).await);
    }
    assert!(oauth.world.rows::<RefreshToken>().await.len() <= 2, "old ones are not kept");
    assert_eq!(refusal(oauth.refresh(&first).await), ErrorCode::InvalidGrant);
    assert!(!oauth.works(&newest).await);
}

#[tokio::test]
async fn what_another_client_or_a_forger_brings_changes_nothing() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let second = oauth.refresh(&first).await.unwrap();
    assert!(oauth.works(&second).await);
    let auth = &oauth.world.auth;
    for token in [refresh_token(&first), refresh_token(&second)] {
        assert_eq!(refusal(auth.refresh_grant(token, "other").await), ErrorCode::InvalidGrant);
    }
    let forged = [
        String::new(),
        "myelin_rt_".to_owned(),
        second.issued.access_token.expose().clone(),
        format!("myelin_rt_{}", "A".repeat(48)),
        format!("myelin_rt_{}", "\u{e9}".repeat(24)),
    ];
    for token in &forged {
        assert_eq!(refusal(auth.refresh_grant(token, &oauth.client_id).await), ErrorCode::InvalidGrant);
    }
    assert!(oauth.works(&second).await);
}

#[tokio::test]
async fn the_two_apis_do_not_take_each_other_s_refresh_tokens() {
    let oauth = Oauth::new().await;
    let tokens = oauth.sign_in("PHONE").await;
    let auth = &oauth.world.auth;
    assert!(matches!(auth.refresh(refresh_token(&tokens)).await, Err(RefreshError::Oauth)));
    let legacy = oauth.world.login("alice", "LAPTOP", RefreshTokens::Supported).await;
    let token = legacy.refresh_token.as_ref().unwrap().expose();
    assert_eq!(refusal(auth.refresh_grant(token, &oauth.client_id).await), ErrorCode::InvalidGrant);
    assert!(oauth.works(&tokens).await && oauth.world.works(&legacy).await);
}

#[tokio::test]
async fn a_locked_account_s_sessions_wait_and_are_not_told_to_go() {
    let oauth = Oauth::new().await;
    let tokens = oauth.sign_in("PHONE").await;
    oauth.world.auth.lock(&Actor::Operator, &oauth.user_id).await.unwrap();
    let access = oauth.world.auth.authenticate(tokens.issued.access_token.expose()).await;
    assert!(matches!(access, Err(AuthenticateError::Locked(_))), "{access:?}");
    assert_eq!(refusal(oauth.refresh(&tokens).await), ErrorCode::TemporarilyUnavailable);
    oauth.world.auth.unlock(&Actor::Operator, &oauth.user_id).await.unwrap();
    assert!(oauth.works(&oauth.refresh(&tokens).await.unwrap()).await);
}

#[tokio::test]
async fn a_race_of_the_new_token_s_use_with_the_old_one_s_refresh_ends_the_session() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let second = oauth.refresh(&first).await.unwrap();
    let (auth, used) = (Arc::clone(&oauth.world.auth), second.clone());
    oauth.world.engine.before_next_commit(async move {
        auth.authenticate(used.issued.access_token.expose()).await.unwrap();
    });
    assert_eq!(refusal(oauth.refresh(&first).await), ErrorCode::InvalidGrant);
    assert!(!oauth.works(&second).await);
}

#[tokio::test]
async fn a_sign_in_with_the_device_while_a_stolen_token_is_shown_stands() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let second = oauth.refresh(&first).await.unwrap();
    assert!(oauth.works(&second).await);
    // The grant of before is about to end by reuse; the device is given to a new one just then.
    let code = oauth.code("PHONE").await;
    let (auth, client_id) = (Arc::clone(&oauth.world.auth), oauth.client_id.clone());
    let (tell, told) = tokio::sync::oneshot::channel();
    oauth.world.engine.before_next_commit(async move {
        let shown = myelin_oauth_core::code::Shown {
            client_id: &client_id,
            redirect_uri: super::REDIRECT,
            verifier: super::VERIFIER,
        };
        let tokens = auth.redeem_code(code.expose(), &shown).await.unwrap().session().unwrap();
        tell.send(tokens).unwrap();
    });
    assert_eq!(refusal(oauth.refresh(&first).await), ErrorCode::InvalidGrant);
    assert!(oauth.works(&told.await.unwrap()).await);
}

#[tokio::test]
async fn revoking_any_token_of_a_session_ends_it_with_its_device() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    for which in 0..3 {
        let first = oauth.sign_in("PHONE").await;
        let second = oauth.refresh(&first).await.unwrap();
        assert!(oauth.works(&second).await);
        let token = match which {
            0 => second.issued.access_token.expose(),
            1 => refresh_token(&second),
            // One that leaked long ago.
            _ => refresh_token(&first),
        };
        auth.revoke(token).await.unwrap();
        assert!(!oauth.works(&second).await, "{which}");
        assert!(oauth.world.rows::<Device>().await.is_empty());
        assert!(oauth.world.rows::<OauthGrant>().await.is_empty());
        assert!(!auth.revoke(token).await.unwrap(), "a second time is no error");
    }
    let ended = vec!["PHONE"; 3];
    assert_eq!(*oauth.world.ends.0.lock().unwrap(), ended);
}

#[tokio::test]
async fn deleting_the_device_or_the_account_ends_the_grant() {
    let oauth = Oauth::new().await;
    let (phone, laptop) = (oauth.sign_in("PHONE").await, oauth.sign_in("LAPTOP").await);
    let requester = oauth.world.requester(&laptop.issued).await;
    oauth.world.auth.delete_devices(&requester, &["PHONE".into()]).await.unwrap();
    assert_eq!(oauth.world.rows::<OauthGrant>().await.len(), 1);
    assert_eq!(refusal(oauth.refresh(&phone).await), ErrorCode::InvalidGrant);
    assert!(oauth.works(&laptop).await);
    oauth.world.auth.deactivate(&Actor::Operator, &oauth.user_id, crate::Erase::No).await.unwrap();
    assert!(oauth.world.rows::<OauthGrant>().await.is_empty());
    assert!(oauth.world.rows::<AccessToken>().await.is_empty());
    assert_eq!(refusal(oauth.refresh(&laptop).await), ErrorCode::InvalidGrant);
}

#[tokio::test]
async fn a_service_learns_of_good_tokens_only() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    let tokens = oauth.sign_in("PHONE").await;
    let access = auth.introspect(tokens.issued.access_token.expose()).await.unwrap().unwrap();
    assert_eq!((access.user_id.clone(), access.device_id.as_str()), (oauth.user_id.clone(), "PHONE"));
    assert_eq!(access.client_id.as_ref(), Some(&oauth.client_id));
    assert!(access.expires_at.is_some());
    let refresh = auth.introspect(refresh_token(&tokens)).await.unwrap().unwrap();
    assert_eq!((refresh.token_type, refresh.expires_at), ("refresh_token", None));
    let legacy = oauth.world.login("alice", "LAPTOP", RefreshTokens::Unsupported).await;
    let legacy = auth.introspect(legacy.access_token.expose()).await.unwrap().unwrap();
    assert_eq!((legacy.client_id, legacy.scope), (None, super::scope("LAPTOP")));
    assert!(auth.introspect("nonsense").await.unwrap().is_none());
    oauth.world.clock.advance(Duration::from_secs(3_600));
    assert!(auth.introspect(tokens.issued.access_token.expose()).await.unwrap().is_none());
    auth.revoke(refresh_token(&tokens)).await.unwrap();
    assert!(auth.introspect(refresh_token(&tokens)).await.unwrap().is_none());
}

#[tokio::test]
async fn however_many_refresh_at_once_nobody_of_them_is_taken_for_a_thief() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let mut pairs = Vec::new();
    for _ in 0..64 {
        pairs.push(oauth.refresh(&first).await.unwrap());
    }
    for pair in [&pairs[0], &pairs[63], &pairs[31]] {
        assert!(oauth.works(pair).await);
    }
    assert!(oauth.works(&oauth.refresh(&pairs[7]).await.unwrap()).await);
}

#[tokio::test]
async fn who_refreshes_again_and_again_and_uses_nothing_is_told_to_wait_and_stays_logged_in() {
    let oauth = Oauth::new().await;
    let first = oauth.sign_in("PHONE").await;
    let mut refused = 0;
    for _ in 0..80 {
        match oauth.refresh(&first).await {
            Ok(_) => {}
            other => {
                assert_eq!(refusal(other), ErrorCode::TemporarilyUnavailable);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 15);
    for _ in 0..300 {
        oauth.world.clock.advance(Duration::from_secs(61));
        oauth.refresh(&first).await.unwrap();
    }
    assert!(oauth.world.rows::<RefreshToken>().await.len() <= 257);
    oauth.world.clock.advance(Duration::from_secs(61));
    assert!(oauth.works(&oauth.refresh(&first).await.unwrap()).await);
}

#[tokio::test]
async fn a_revocation_that_is_overtaken_by_a_new_grant_to_the_device_leaves_that_one_alone() {
    let oauth = Oauth::new().await;
    let old = oauth.sign_in("PHONE").await;
    let code = oauth.code("PHONE").await;
    let (auth, owner) = (Arc::clone(&oauth.world.auth), (oauth.client_id.clone(), code.clone()));
    let (opened, reopened) = tokio::sync::oneshot::channel();
    oauth.world.engine.before_next_commit(async move {
        let (client_id, code) = owner;
        let shown =
            super::Shown { client_id: &client_id, redirect_uri: super::REDIRECT, verifier: super::VERIFIER };
        let tokens = auth.redeem_code(code.expose(), &shown).await.unwrap().session().unwrap();
        opened.send(tokens).unwrap();
    });
    oauth.world.auth.revoke(old.issued.access_token.expose()).await.unwrap();
    assert!(oauth.works(&reopened.await.unwrap()).await);
}

#[tokio::test]
async fn a_device_that_was_logged_in_anew_since_it_was_shown_is_not_ended_by_the_page() {
    let oauth = Oauth::new().await;
    oauth.sign_in("PHONE").await;
    let browser = oauth.browser().await;
    let auth = &oauth.world.auth;
    let phone = "PHONE".into();
    let shown = auth.own_device(&browser, &phone).await.unwrap().unwrap();
    let anew = oauth.sign_in("PHONE").await;
    let ended = auth.end_own_device(&browser, &phone, &shown.opened).await.unwrap();
    assert_eq!(ended, EndedDevice::Reopened);
    assert!(oauth.works(&anew).await);
    let shown = auth.own_device(&browser, &phone).await.unwrap().unwrap();
    assert_eq!(auth.end_own_device(&browser, &phone, &shown.opened).await.unwrap(), EndedDevice::Yes);
    assert_eq!(auth.end_own_device(&browser, &phone, &shown.opened).await.unwrap(), EndedDevice::Gone);
}
