use std::sync::Arc;
use std::time::Duration;

use myelin_oauth_core::device::{Decision, UserCode};
use myelin_oauth_core::error::ErrorCode;
use myelin_store::schema::auth::Device;
use myelin_store::schema::oauth::OauthDeviceCode;

use super::{Oauth, refusal, scope};
use crate::{DeviceAuthorization, OauthError, OauthTokens, RefreshTokens};

impl Oauth {
    pub(super) async fn waiting(&self, device_id: &str) -> DeviceAuthorization {
        self.world.auth.authorize_device(&self.client_id, &scope(device_id)).await.unwrap()
    }

    pub(super) async fn poll(&self, waiting: &DeviceAuthorization) -> Result<OauthTokens, OauthError> {
        self.world.auth.poll_device(waiting.device_code.expose(), &self.client_id).await
    }

    pub(super) async fn decide(&self, waiting: &DeviceAuthorization, decision: Decision) -> bool {
        let browser = self.browser().await;
        self.world.auth.decide_device(&browser, &waiting.user_code, decision).await.unwrap()
    }
}

#[tokio::test]
async fn a_client_without_a_browser_gets_its_session_when_its_user_says_yes() {
    let oauth = Oauth::new().await;
    let waiting = oauth.waiting("TV").await;
    assert_eq!(refusal(oauth.poll(&waiting).await), ErrorCode::AuthorizationPending);
    assert_eq!(refusal(oauth.poll(&waiting).await), ErrorCode::SlowDown);
    let shown = oauth.world.auth.device_to_decide(&waiting.user_code).await.unwrap().unwrap();
    assert_eq!((shown.client.client_name.get("en"), shown.device_id.as_str()), (Some("Example"), "TV"));
    assert!(oauth.decide(&waiting, Decision::Approve).await);
    assert!(!oauth.decide(&waiting, Decision::Deny).await, "it was decided");
    let tokens = oauth.poll(&waiting).await.unwrap();
    assert_eq!(tokens.scope, scope("TV"));
    assert_eq!(oauth.world.requester(&tokens.issued).await.user_id, oauth.user_id);
}

#[tokio::test]
async fn a_client_whose_user_says_no_or_nothing_gets_nothing() {
    let oauth = Oauth::new().await;
    let denied = oauth.waiting("TV").await;
    assert!(oauth.decide(&denied, Decision::Deny).await);
    assert_eq!(refusal(oauth.poll(&denied).await), ErrorCode::AccessDenied);
    let late = oauth.waiting("TV").await;
    oauth.world.clock.advance(Duration::from_secs(1_800));
    assert!(!oauth.decide(&late, Decision::Approve).await);
    assert_eq!(refusal(oauth.poll(&late).await), ErrorCode::ExpiredToken);
    assert!(oauth.world.auth.device_to_decide(&late.user_code).await.unwrap().is_none());
    assert!(oauth.world.rows::<Device>().await.is_empty());
    oauth.world.clock.advance(Duration::from_secs(86_400));
    oauth.world.auth.prune_device_codes().await.unwrap();
    assert!(oauth.world.rows::<OauthDeviceCode>().await.is_empty());
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_for_the_same_session() {
    let oauth = Oauth::new().await;
    // The device may have been there before.
    oauth.world.login("alice", "TV", RefreshTokens::Unsupported).await;
    let waiting = oauth.waiting("TV").await;
    oauth.decide(&waiting, Decision::Approve).await;
    let lost = oauth.poll(&waiting).await.unwrap();
    let found = oauth.poll(&waiting).await.unwrap();
    assert_ne!(lost.issued.access_token, found.issued.access_token);
    assert!(oauth.works(&found).await);
    assert_eq!(oauth.world.rows::<Device>().await.len(), 1);
    let renewed = oauth.refresh(&found).await.unwrap();
    assert!(oauth.works(&renewed).await);
    // Whoever comes now has stolen it.
    assert_eq!(refusal(oauth.poll(&waiting).await), ErrorCode::InvalidGrant);
    assert!(!oauth.works(&renewed).await);
}

#[tokio::test]
async fn a_client_that_asks_twice_at_once_gets_one_session() {
    let oauth = Oauth::new().await;
    let waiting = oauth.waiting("TV").await;
    oauth.decide(&waiting, Decision::Approve).await;
    let (auth, client_id, code) =
        (Arc::clone(&oauth.world.auth), oauth.client_id.clone(), waiting.device_code.clone());
    let (tell, told) = tokio::sync::oneshot::channel();
    oauth.world.engine.before_next_commit(async move {
        tell.send(auth.poll_device(code.expose(), &client_id).await.unwrap()).unwrap();
    });
    let one = oauth.poll(&waiting).await.unwrap();
    let other = told.await.unwrap();
    assert!(oauth.works(&one).await && oauth.works(&other).await);
    assert_eq!(oauth.world.rows::<Device>().await.len(), 1);
}

#[tokio::test]
async fn of_two_who_decide_at_once_the_first_is_heard() {
    let oauth = Oauth::new().await;
    let waiting = oauth.waiting("TV").await;
    let (auth, browser, code) =
        (Arc::clone(&oauth.world.auth), oauth.browser().await, waiting.user_code.clone());
    let second = oauth.browser().await;
    oauth.world.engine.before_next_commit(async move {
        assert!(auth.decide_device(&browser, &code, Decision::Deny).await.unwrap());
    });
    let late = oauth.world.auth.decide_device(&second, &waiting.user_code, Decision::Approve).await;
    assert!(!late.unwrap());
    assert_eq!(refusal(oauth.poll(&waiting).await), ErrorCode::AccessDenied);
}

#[tokio::test]
async fn a_decision_while_the_client_asks_is_not_lost() {
    let oauth = Oauth::new().await;
    let waiting = oauth.waiting("TV").await;
    let (auth, browser, code) =
        (Arc::clone(&oauth.world.auth), oauth.browser().await, waiting.user_code.clone());
    oauth.world.engine.before_next_commit(async move {
        assert!(auth.decide_device(&browser, &code, Decision::Approve).await.unwrap());
    });
    assert!(oauth.poll(&waiting).await.is_ok());
}

#[tokio::test]
async fn another_client_and_one_that_did_not_register_for_it_get_nothing() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    let waiting = oauth.waiting("TV").await;
    oauth.decide(&waiting, Decision::Approve).await;
    let code = waiting.device_code.expose();
    assert_eq!(refusal(auth.poll_device(code, "other").await), ErrorCode::InvalidGrant);
    assert_eq!(refusal(auth.poll_device("myelin_dc_x", &oauth.client_id).await), ErrorCode::InvalidGrant);
    assert_eq!(refusal(auth.authorize_device("other", &scope("TV")).await), ErrorCode::InvalidClient);
    assert_eq!(refusal(auth.authorize_device(&oauth.client_id, "openid").await), ErrorCode::InvalidScope);
    let other = r#"{"client_uri": "https://example.org", "redirect_uris": ["https://example.org/"]}"#;
    let other = auth.register_client(other.as_bytes(), None).await.unwrap().client_id;
    assert_eq!(refusal(auth.authorize_device(&other, &scope("TV")).await), ErrorCode::UnauthorizedClient);
    assert!(auth.device_to_decide(&UserCode::parse("BBBB-BBBB").unwrap()).await.unwrap().is_none());
    assert!(oauth.poll(&waiting).await.is_ok());
}
