//! What was approved, and what a thief who had a password or a cookie has left of it when their victim acts.

use myelin_oauth_core::device::Decision;
use myelin_oauth_core::error::ErrorCode;
use myelin_runtime::Secret;

use super::super::{PASSWORD, secret};
use super::{Oauth, refusal};
use crate::{Actor, DeviceAuthorization, LoginError, NewSession, OtherSessions, SignIn};

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
            cookie: match auth.sign_in(&alice, secret(PASSWORD)).await.unwrap() {
                SignIn::Done(browser) => browser.cookie,
                SignIn::Half(_) => panic!("half"),
            },
            code: self.code("PHONE").await,
            device,
            login: auth.login_token_of(&browser).await.unwrap().token,
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
