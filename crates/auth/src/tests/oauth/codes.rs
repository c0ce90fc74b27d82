use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use myelin_oauth_core::code::Shown;
use myelin_oauth_core::error::ErrorCode;
use myelin_store::Reader;
use myelin_store::schema::auth::{AccessToken, Device, RefreshToken};
use myelin_store::schema::oauth::{OauthClient, OauthCode, OauthGrant};

use super::{Oauth, REDIRECT, REGISTRATION, VERIFIER, refusal, scope};
use crate::{Actor, RefreshTokens};

#[tokio::test]
async fn a_code_opens_the_session_that_was_asked_for() {
    let oauth = Oauth::new().await;
    let tokens = oauth.sign_in("PHONE").await;
    assert_eq!(tokens.scope, scope("PHONE"));
    let requester = oauth.world.requester(&tokens.issued).await;
    assert_eq!(requester.user_id, oauth.user_id);
    assert_eq!(requester.device_id.as_ref().unwrap().as_str(), "PHONE");
    assert!(tokens.issued.expires_in.is_some());
    let devices = oauth.world.auth.devices(&requester).await.unwrap();
    assert_eq!(devices[0].display_name.as_deref(), Some("Example"));
    assert_eq!(oauth.world.rows::<OauthGrant>().await[0].client_id, oauth.client_id);
}

#[tokio::test]
async fn a_code_is_known_to_the_store_by_its_hash_alone() {
    let oauth = Oauth::new().await;
    let code = oauth.code("PHONE").await;
    let row = &oauth.world.rows::<OauthCode>().await[0];
    assert!(!format!("{row:?}").contains(code.expose().as_str()));
    let tokens = oauth.redeem(&code).await.unwrap();
    let rows = format!(
        "{:?}{:?}{:?}",
        oauth.world.rows::<RefreshToken>().await,
        oauth.world.rows::<AccessToken>().await,
        oauth.world.rows::<OauthGrant>().await
    );
    assert!(!rows.contains(super::refresh_token(&tokens)));
}

#[tokio::test]
async fn a_code_that_comes_back_ends_what_came_of_it() {
    let oauth = Oauth::new().await;
    let code = oauth.code("PHONE").await;
    let tokens = oauth.redeem(&code).await.unwrap();
    assert!(oauth.works(&tokens).await);
    assert_eq!(refusal(oauth.redeem(&code).await), ErrorCode::InvalidGrant);
    assert!(!oauth.works(&tokens).await);
    assert_eq!(refusal(oauth.refresh(&tokens).await), ErrorCode::InvalidGrant);
    assert!(oauth.world.rows::<Device>().await.is_empty());
    assert_eq!(*oauth.world.ends.0.lock().unwrap(), ["PHONE"], "what others keep for the device goes too");
}

#[tokio::test]
async fn a_code_that_comes_back_leaves_a_later_grant_of_the_device_alone() {
    let oauth = Oauth::new().await;
    let code = oauth.code("PHONE").await;
    oauth.redeem(&code).await.unwrap();
    let later = oauth.sign_in("PHONE").await;
    assert_eq!(refusal(oauth.redeem(&code).await), ErrorCode::InvalidGrant);
    assert!(oauth.works(&later).await);
}

#[tokio::test]
async fn who_lacks_the_proof_changes_nothing_before_and_after() {
    let oauth = Oauth::new().await;
    let code = oauth.code("PHONE").await;
    let thieves = [
        Shown { verifier: &"x".repeat(43), ..oauth.owner() },
        Shown { redirect_uri: "https://example.com/other", ..oauth.owner() },
        Shown { client_id: "other", ..oauth.owner() },
    ];
    for thief in &thieves {
        let stolen = oauth.world.auth.redeem_code(code.expose(), thief).await;
        assert_eq!(refusal(stolen), ErrorCode::InvalidGrant);
    }
    let tokens = oauth.redeem(&code).await.unwrap();
    for thief in &thieves {
        let stolen = oauth.world.auth.redeem_code(code.expose(), thief).await;
        assert_eq!(refusal(stolen), ErrorCode::InvalidGrant);
    }
    assert!(oauth.works(&tokens).await);
}

#[tokio::test]
async fn of_two_who_redeem_a_code_at_once_neither_keeps_a_session() {
    let oauth = Oauth::new().await;
    // So that the next commit is not the one that reserves numbers of sessions.
    oauth.redeem(&oauth.code("PHONE").await).await.unwrap();
    let code = oauth.code("PHONE").await;
    let (auth, client_id, copy) = (Arc::clone(&oauth.world.auth), oauth.client_id.clone(), code.clone());
    oauth.world.engine.before_next_commit(async move {
        let first = Shown { client_id: &client_id, redirect_uri: REDIRECT, verifier: VERIFIER };
        auth.redeem_code(copy.expose(), &first).await.unwrap();
    });
    assert_eq!(refusal(oauth.redeem(&code).await), ErrorCode::InvalidGrant);
    assert!(oauth.world.rows::<Device>().await.is_empty());
    assert!(oauth.world.rows::<AccessToken>().await.is_empty());
}

#[tokio::test]
async fn a_code_expires_and_is_forgotten_later() {
    let oauth = Oauth::new().await;
    let code = oauth.code("PHONE").await;
    oauth.world.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(refusal(oauth.redeem(&code).await), ErrorCode::InvalidGrant);
    oauth.world.auth.prune_codes().await.unwrap();
    assert!(oauth.world.rows::<OauthCode>().await.is_empty());
    oauth.sign_in("PHONE").await;
    oauth.world.clock.advance(Duration::from_secs(86_399));
    oauth.world.auth.prune_codes().await.unwrap();
    assert_eq!(oauth.world.rows::<OauthCode>().await.len(), 1, "one that comes back is known for a day");
    oauth.world.clock.advance(Duration::from_secs(1));
    oauth.world.auth.prune_codes().await.unwrap();
    assert!(oauth.world.rows::<OauthCode>().await.is_empty());
}

#[tokio::test]
async fn nothing_comes_of_a_code_whose_user_was_locked_meanwhile() {
    let oauth = Oauth::new().await;
    // So that the next commit is not the one that reserves numbers of sessions.
    oauth.sign_in("LAPTOP").await;
    let code = oauth.code("PHONE").await;
    let (auth, alice) = (Arc::clone(&oauth.world.auth), oauth.user_id.clone());
    oauth.world.engine.before_next_commit(async move { auth.lock(&Actor::Operator, &alice).await.unwrap() });
    assert_eq!(refusal(oauth.redeem(&code).await), ErrorCode::InvalidGrant);
    assert_eq!(oauth.world.rows::<Device>().await.len(), 1);
}

#[tokio::test]
async fn logging_in_by_the_legacy_api_with_its_device_ends_the_grant() {
    let oauth = Oauth::new().await;
    let tokens = oauth.sign_in("PHONE").await;
    let legacy = oauth.world.login("alice", "PHONE", RefreshTokens::Unsupported).await;
    assert!(oauth.world.rows::<OauthGrant>().await.is_empty());
    assert!(!oauth.works(&tokens).await && oauth.world.works(&legacy).await);
    assert_eq!(refusal(oauth.refresh(&tokens).await), ErrorCode::InvalidGrant);
    assert!(oauth.world.works(&legacy).await, "the token of before is nobody's");
}

#[tokio::test]
async fn who_registers_the_same_is_the_same_client_and_an_unused_one_goes_in_days() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    let again = auth.register_client(REGISTRATION.as_bytes(), None).await.unwrap();
    assert_eq!(again.client_id, oauth.client_id);
    assert_eq!(oauth.world.rows::<OauthClient>().await.len(), 1);
    oauth.sign_in("PHONE").await;
    let other = r#"{"client_uri": "https://example.org", "redirect_uris": ["https://example.org/"]}"#;
    let other = auth.register_client(other.as_bytes(), None).await.unwrap().client_id;
    oauth.world.clock.advance(Duration::from_secs(2 * 86_400));
    auth.prune_clients().await.unwrap();
    assert_eq!(oauth.world.rows::<OauthClient>().await.len(), 2);
    oauth.world.clock.advance(Duration::from_secs(2 * 86_400));
    auth.prune_clients().await.unwrap();
    assert!(auth.oauth_client(&other).await.unwrap().is_none());
    assert!(auth.oauth_client(&oauth.client_id).await.unwrap().is_some(), "a session is granted to it");
}

#[tokio::test]
async fn a_client_that_is_used_while_it_is_swept_stays() {
    let oauth = Oauth::new().await;
    oauth.world.clock.advance(Duration::from_secs(8 * 86_400));
    let auth = Arc::clone(&oauth.world.auth);
    oauth.world.engine.before_next_commit(async move {
        auth.register_client(REGISTRATION.as_bytes(), None).await.unwrap();
    });
    oauth.world.auth.prune_clients().await.unwrap();
    assert!(oauth.world.auth.oauth_client(&oauth.client_id).await.unwrap().is_some());
}

#[tokio::test]
async fn new_clients_are_bounded_by_address_and_in_all_and_those_that_are_known_don_t_count() {
    let oauth = Oauth::new().await;
    let register = async |n: u32, from: u32| {
        let json = format!(
            r#"{{"client_uri": "https://{n}.example.org", "redirect_uris": ["https://{n}.example.org/"]}}"#
        );
        oauth.world.auth.register_client(json.as_bytes(), Some(Ipv4Addr::from_bits(from).into())).await
    };
    for n in 0..20 {
        register(n, 1).await.unwrap();
    }
    assert_eq!(refusal(register(20, 1).await), ErrorCode::TemporarilyUnavailable);
    assert!(register(7, 1).await.is_ok());
    for n in 20..4_999 {
        register(n, n).await.unwrap();
    }
    assert_eq!(refusal(register(5_000, 5_000).await), ErrorCode::TemporarilyUnavailable);
    assert!(register(7, 1).await.is_ok());
    oauth.world.clock.advance(Duration::from_secs(2));
    assert!(register(5_000, 5_000).await.is_ok());
}

#[tokio::test]
async fn a_client_that_nobody_uses_is_not_kept_for_ever_by_being_registered_again() {
    let oauth = Oauth::new().await;
    let register = async |json: &str| {
        oauth.world.auth.register_client(json.as_bytes(), Some(Ipv4Addr::LOCALHOST.into())).await
    };
    let used_at = async || {
        let rows = oauth.world.rows::<OauthClient>().await;
        rows.into_iter().find(|row| row.client_id == oauth.client_id).unwrap().used_at
    };
    let first = used_at().await;
    oauth.world.clock.advance(Duration::from_secs(90_000));
    for number in 0..40 {
        let _ = register(&REGISTRATION.replace("Example", &format!("Example {number}"))).await;
    }
    register(REGISTRATION).await.unwrap();
    assert_eq!(used_at().await, first, "who has used up their share prolongs nothing");
    oauth.world.clock.advance(Duration::from_secs(3600));
    register(REGISTRATION).await.unwrap();
    assert!(used_at().await > first);
}

#[tokio::test]
async fn clients_that_stay_are_not_in_the_way_of_those_that_nobody_uses() {
    let oauth = Oauth::new().await;
    let auth = &oauth.world.auth;
    let rows = |range: std::ops::Range<usize>, used_at: i64| {
        let row = move |n: usize| OauthClient {
            client_id: format!("client {n:05}"),
            metadata: "{}".to_owned(),
            created_at: 0,
            used_at,
        };
        range.map(row).collect::<Vec<_>>()
    };
    // More than one round looks at have sessions, and were used longer ago than the one that has none.
    for some in rows(0..17_000, 1).chunks(1_000) {
        let mut batch = auth.batch("oauth_client");
        for client in some {
            batch.put(client);
            batch.put(&OauthGrant {
                user_id: oauth.user_id.clone(),
                device_id: client.client_id.as_str().into(),
                client_id: client.client_id.clone(),
                scope: String::new(),
                family: client.client_id.clone().into(),
                generation: 1,
                created_at: 0,
            });
        }
        auth.engine.commit(batch).await.unwrap();
    }
    let mut batch = auth.batch("oauth_client");
    batch.put(&rows(20_000..20_001, 2)[0]);
    auth.engine.commit(batch).await.unwrap();
    let unused = async || auth.oauth_client_exists("client 20000").await;
    auth.prune_clients().await.unwrap();
    assert!(unused().await);
    auth.prune_clients().await.unwrap();
    assert!(!unused().await);
    assert!(auth.oauth_client_exists("client 00000").await);
}

impl crate::Auth {
    async fn oauth_client_exists(&self, client_id: &str) -> bool {
        let key = (client_id.to_owned(),);
        self.engine.snapshot().await.unwrap().get::<OauthClient>(&key).await.unwrap().is_some()
    }
}
