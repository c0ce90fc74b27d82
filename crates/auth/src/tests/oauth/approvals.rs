//! What was approved, and what a thief who had a password or a cookie has left of it when their victim acts.

use std::sync::Arc;

use myelin_oauth_core::device::Decision;
use myelin_oauth_core::error::ErrorCode;
use myelin_runtime::Secret;
use myelin_store::schema::oauth::{OauthCode, ResetApproval};

use super::super::{PASSWORD, secret};
use super::{Oauth, refusal};
use crate::{Actor, DeviceAuthorization, LoginError, NewSession, Origin, OtherSessions, SignIn};

/// What can be approved in a browser and used later.
struct Approved {
    cookie: Secret<String>,
    code: Secret<String>,
    device: DeviceAuthorization,
    login: Secret<String>,
}

impl Oauth {
    async fn approve_everything(&self) -> Approved {
        let browser = self.browser().await;
        let device = self.waiting("TV").await;
        assert!(self.decide(&device, Decision::Approve).await);
        let auth = &self.world.auth;
        let alice = crate::Identifier::User("alice".to_owned());
        Approved {
            cookie: match auth.sign_in(&alice, secret(PASSWORD), &Origin::default()).await.unwrap() {
                SignIn::Done(browser) => browser.cookie,
                SignIn::Half(_) => panic!("half"),
            },
            code: self.code("PHONE").await,
            device,
            login: auth.login_token_of(&browser).await.unwrap().unwrap().token,
        }
    }

    async fn gives_nothing(&self, approved: &Approved) {
        assert_eq!(refusal(self.redeem(&approved.code).await), ErrorCode::InvalidGrant);
        assert_eq!(refusal(self.poll(&approved.device).await), ErrorCode::InvalidGrant);
        let auth = &self.world.auth;
        let login = auth.login_by_token(approved.login.expose(), &NewSession::default()).await;
        assert!(matches!(login, Err(LoginError::Token)), "{login:?}");
        assert!(auth.browser(approved.cookie.expose()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_was_approved_ends_with_the_password() {
    let oauth = Oauth::new().await;
    let approved = oauth.approve_everything().await;
    let keep = OtherSessions::Keep;
    let auth = &oauth.world.auth;
    auth.set_password(&Actor::Operator, &oauth.user_id, secret(PASSWORD), keep, None).await.unwrap();
    oauth.gives_nothing(&approved).await;
}

#[tokio::test]
async fn what_was_approved_ends_where_every_session_is_ended() {
    let oauth = Oauth::new().await;
    let requester = {
        let tokens = oauth.sign_in("LAPTOP").await;
        oauth.world.requester(&tokens.issued).await
    };
    let approved = oauth.approve_everything().await;
    oauth.world.auth.logout_all(&requester).await.unwrap();
    oauth.gives_nothing(&approved).await;
}

#[tokio::test]
async fn what_is_approved_in_the_moment_in_which_the_password_changes_gives_nothing() {
    let oauth = Oauth::new().await;
    let browser = oauth.browser().await;
    let request = oauth.request("PHONE").await;
    let change = || {
        let (auth, user_id) = (Arc::clone(&oauth.world.auth), oauth.user_id.clone());
        oauth.world.engine.before_next_commit(async move {
            let keep = OtherSessions::Keep;
            auth.set_password(&Actor::Operator, &user_id, secret(PASSWORD), keep, None).await.unwrap();
        });
    };
    let auth = &oauth.world.auth;
    change();
    assert_eq!(refusal(auth.approve(&browser, &request).await), ErrorCode::AccessDenied);
    assert!(oauth.world.rows::<OauthCode>().await.is_empty());
    let browser = oauth.browser().await;
    change();
    assert!(auth.login_token_of(&browser).await.unwrap().is_none());
    let browser = oauth.browser().await;
    let device = oauth.waiting("TV").await;
    change();
    assert!(!auth.decide_device(&browser, &device.user_code, Decision::Approve).await.unwrap());
    assert_eq!(refusal(oauth.poll(&device).await), ErrorCode::AuthorizationPending);
    oauth.sign_in("PHONE").await;
    let browser = oauth.browser().await;
    change();
    assert!(!auth.allow_reset(&browser, &"PHONE".into()).await.unwrap());
    assert!(oauth.world.rows::<ResetApproval>().await.is_empty());
}
