use std::sync::Arc;
use std::time::Duration;

use myelin_store::schema::oauth::BrowserSession;

use super::super::{PASSWORD, secret};
use super::Oauth;
use crate::{Actor, Identifier, LoginError, Origin, OtherSessions, SignIn};

impl Oauth {
    async fn cookie(&self) -> String {
        let alice = Identifier::User("alice".to_owned());
        let origin = Origin::default();
        let signed_in = self.world.auth.sign_in(&alice, secret(PASSWORD), &origin).await.unwrap();
        let SignIn::Done(browser) = signed_in else { panic!("half") };
        browser.cookie.into_inner()
    }

    async fn is_signed_in(&self, cookie: &str) -> bool {
        self.world.auth.browser(cookie).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn who_knows_the_password_is_signed_in_until_they_sign_out_or_two_weeks_pass() {
    let oauth = Oauth::new().await;
    let (first, second) = (oauth.cookie().await, oauth.cookie().await);
    assert_eq!(oauth.world.auth.browser(&first).await.unwrap().unwrap().user_id, oauth.user_id);
    oauth.world.auth.sign_out(&first).await.unwrap();
    assert!(!oauth.is_signed_in(&first).await && oauth.is_signed_in(&second).await);
    assert!(!format!("{:?}", oauth.world.rows::<BrowserSession>().await).contains(&second));
    oauth.world.clock.advance(Duration::from_secs(14 * 86_400));
    assert!(!oauth.is_signed_in(&second).await);
    oauth.world.auth.prune_browsers().await.unwrap();
    assert!(oauth.world.rows::<BrowserSession>().await.is_empty());
    for nonsense in ["", "myelin_bs_", "myelin_at_x"] {
        assert!(!oauth.is_signed_in(nonsense).await);
    }
}

#[tokio::test]
async fn a_new_password_a_lock_and_a_deactivation_sign_browsers_out() {
    let oauth = Oauth::new().await;
    let cookie = oauth.cookie().await;
    let auth = &oauth.world.auth;
    auth.lock(&Actor::Operator, &oauth.user_id).await.unwrap();
    assert!(!oauth.is_signed_in(&cookie).await);
    let refused =
        auth.sign_in(&Identifier::User("alice".to_owned()), secret(PASSWORD), &Origin::default()).await;
    assert!(matches!(refused, Err(LoginError::Locked)), "{refused:?}");
    auth.unlock(&Actor::Operator, &oauth.user_id).await.unwrap();
    assert!(!oauth.is_signed_in(&cookie).await, "who had it locked does not want to find it open");
    let cookie = oauth.cookie().await;
    oauth.world.clock.advance(Duration::from_millis(1));
    let (actor, keep) = (Actor::Operator, OtherSessions::Keep);
    auth.set_password(&actor, &oauth.user_id, secret(PASSWORD), keep, None).await.unwrap();
    assert!(!oauth.is_signed_in(&cookie).await);
    let cookie = oauth.cookie().await;
    auth.deactivate(&Actor::Operator, &oauth.user_id, crate::Erase::No).await.unwrap();
    assert!(!oauth.is_signed_in(&cookie).await);
}

#[tokio::test]
async fn a_password_that_changes_while_somebody_signs_in_signs_nobody_in() {
    let oauth = Oauth::new().await;
    let (auth, alice) = (Arc::clone(&oauth.world.auth), oauth.user_id.clone());
    oauth.world.engine.before_next_commit(async move {
        let keep = OtherSessions::Keep;
        auth.set_password(&Actor::Operator, &alice, secret("another one"), keep, None).await.unwrap();
    });
    let late = oauth
        .world
        .auth
        .sign_in(&Identifier::User("alice".to_owned()), secret(PASSWORD), &Origin::default())
        .await;
    assert!(matches!(late, Err(LoginError::Wrong)), "{late:?}");
    assert!(oauth.world.rows::<BrowserSession>().await.is_empty());
}

#[tokio::test]
async fn somebody_is_signed_in_in_so_many_browsers_and_the_oldest_goes() {
    let oauth = Oauth::new().await;
    let first = oauth.cookie().await;
    for _ in 0..16 {
        oauth.world.clock.advance(Duration::from_millis(1));
        oauth.cookie().await;
    }
    assert_eq!(oauth.world.rows::<BrowserSession>().await.len(), 16);
    assert!(!oauth.is_signed_in(&first).await);
}
