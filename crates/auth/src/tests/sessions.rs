use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use myelin_runtime::Clock;
use myelin_store::schema::auth::{AccessToken, Device, DeviceSeen, RefreshToken};
use myelin_store::schema::e2ee::{CrossSigningKey, KeyUsage};
use sha2::{Digest, Sha256};

use super::{Hook, PASSWORD, World, secret, user, world, world_with};
use crate::session::seen::Due;
use crate::{
    Actor, AuthenticateError, DeviceError, DeviceProblem, Erase, LoginError, NewSession, OtherSessions,
    RefreshError,
    RefreshTokens::{Supported, Unsupported},
};

#[tokio::test]
async fn a_login_opens_a_session_of_the_device_that_was_asked_for() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    let requester = world.requester(&issued).await;
    assert_eq!(requester.user_id, user("alice"));
    assert_eq!(requester.device_id.unwrap().as_str(), "PHONE");
    assert!(!requester.is_admin);
    assert_eq!((issued.refresh_token, issued.expires_in), (None, None));
}

#[tokio::test]
async fn users_may_log_in_by_localpart_or_user_id_in_any_case() {
    let world = world();
    world.account("alice").await;
    for name in ["alice", "Alice", "@alice:example.org", "@ALICE:example.org"] {
        assert!(world.try_login(name, PASSWORD, NewSession::default()).await.is_ok(), "{name}");
    }
    let foreign = world.try_login("@alice:elsewhere.org", PASSWORD, NewSession::default()).await;
    assert!(matches!(foreign, Err(LoginError::Wrong)));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let world = world();
    world.account("alice").await;
    for (name, password) in [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("", PASSWORD)] {
        let refused = world.try_login(name, password, NewSession::default()).await;
        assert!(matches!(refused, Err(LoginError::Wrong)), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn too_many_wrong_passwords_close_the_account_for_a_while_only() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    for _ in 0..10 {
        assert!(matches!(
            world.try_login("alice", "wrong", NewSession::default()).await,
            Err(LoginError::Wrong)
        ));
    }
    let limited = world.try_login("Alice", PASSWORD, NewSession::default()).await;
    let Err(LoginError::Limited(wait)) = limited else { panic!("{limited:?}") };
    assert!(world.try_login("bob", PASSWORD, NewSession::default()).await.is_ok(), "another account");
    world.clock.advance(wait + Duration::from_millis(1));
    for _ in 0..20 {
        let again = world.try_login("alice", PASSWORD, NewSession::default()).await;
        assert!(again.is_ok(), "right passwords don't count: {again:?}");
    }
}

#[tokio::test]
async fn the_store_knows_tokens_by_their_hash_alone() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Supported).await;
    let hash = |token: &str| Bytes::copy_from_slice(&Sha256::digest(token.as_bytes()));
    let access = world.rows::<AccessToken>().await;
    assert_eq!(access[0].hash, hash(issued.access_token.expose()));
    let refresh = world.rows::<RefreshToken>().await;
    assert_eq!(refresh[0].hash, hash(issued.refresh_token.unwrap().expose()));
}

#[tokio::test]
async fn logging_in_with_a_device_again_ends_its_old_tokens_and_keeps_its_name_and_number() {
    let world = world();
    world.account("alice").await;
    let session = NewSession { display_name: Some("Phone".into()), ..NewSession::default() };
    let first = world.try_login("alice", PASSWORD, session).await.unwrap();
    let number = world.requester(&first).await.session;
    let again = NewSession {
        device_id: Some(first.device_id.clone()),
        display_name: Some("Other".into()),
        refresh: Supported,
    };
    let second = world.try_login("alice", PASSWORD, again).await.unwrap();
    assert_eq!(second.device_id, first.device_id);
    assert!(!world.works(&first).await);
    let requester = world.requester(&second).await;
    assert_eq!(requester.session, number);
    let devices = world.auth.devices(&requester).await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].display_name.as_deref(), Some("Phone"));
    assert!(world.ends.0.lock().unwrap().is_empty(), "the device went on");
}

#[tokio::test]
async fn an_access_token_with_a_lifetime_expires_and_the_session_goes_on() {
    let world = world_with(|config| config.access_token_lifetime = Duration::from_secs(60));
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Supported).await;
    assert_eq!(issued.expires_in, Some(Duration::from_secs(60)));
    assert!(world.works(&issued).await);
    world.clock.advance(Duration::from_secs(60));
    let expired = world.auth.authenticate(issued.access_token.expose()).await;
    assert!(matches!(expired, Err(AuthenticateError::Expired)), "from the cache: {expired:?}");
    let fresh = world.auth.refresh(issued.refresh_token.as_ref().unwrap().expose()).await.unwrap();
    assert!(world.works(&fresh).await);
    let gone = world.auth.authenticate(issued.access_token.expose()).await;
    assert!(matches!(gone, Err(AuthenticateError::Unknown)), "{gone:?}");
}

#[tokio::test]
async fn a_lost_answer_to_a_refresh_can_be_asked_for_again_until_the_new_token_is_used() {
    let world = world();
    world.account("alice").await;
    let first = world.login("alice", "PHONE", Supported).await;
    let old = first.refresh_token.clone().unwrap();
    let lost = world.auth.refresh(old.expose()).await.unwrap();
    assert!(world.works(&first).await, "nothing new was used yet");
    let got = world.auth.refresh(old.expose()).await.unwrap();
    assert_ne!(lost.access_token, got.access_token);
    assert!(world.works(&got).await);
    assert!(!world.works(&first).await, "the older access token ends with the first use of the newer");
    let spent = world.auth.refresh(old.expose()).await;
    assert!(matches!(spent, Err(RefreshError::Spent)), "{spent:?}");
}

#[tokio::test]
async fn using_the_new_refresh_token_spends_the_old_one_too() {
    let world = world();
    world.account("alice").await;
    let first = world.login("alice", "PHONE", Supported).await;
    let second = world.auth.refresh(first.refresh_token.as_ref().unwrap().expose()).await.unwrap();
    let third = world.auth.refresh(second.refresh_token.as_ref().unwrap().expose()).await.unwrap();
    assert!(!world.works(&first).await);
    let spent = world.auth.refresh(first.refresh_token.as_ref().unwrap().expose()).await;
    assert!(matches!(spent, Err(RefreshError::Spent)), "{spent:?}");
    assert!(world.works(&third).await);
    let gone = world.auth.refresh(first.refresh_token.as_ref().unwrap().expose()).await;
    assert!(matches!(gone, Err(RefreshError::Unknown)), "{gone:?}");
    assert!(world.rows::<AccessToken>().await.len() <= 2);
    assert!(world.rows::<RefreshToken>().await.len() <= 2, "old rows don't pile up");
}

#[tokio::test]
async fn several_processes_of_a_client_may_refresh_at_once_within_bounds() {
    let world = world();
    world.account("alice").await;
    let first = world.login("alice", "PHONE", Supported).await;
    let old = first.refresh_token.clone().unwrap();
    let (one, two) = tokio::join!(world.auth.refresh(old.expose()), world.auth.refresh(old.expose()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(world.works(&one).await);
    assert!(world.works(&two).await, "each keeps what it got");
    let next = one.refresh_token.unwrap();
    for _ in 0..50 {
        world.auth.refresh(next.expose()).await.unwrap();
    }
    assert!(world.rows::<AccessToken>().await.len() <= 10);
    assert!(world.rows::<RefreshToken>().await.len() <= 12);
}

#[tokio::test]
async fn an_access_token_is_no_refresh_token_and_the_other_way_round() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Supported).await;
    assert!(matches!(world.auth.refresh(issued.access_token.expose()).await, Err(RefreshError::Unknown)));
    let refused = world.auth.authenticate(issued.refresh_token.unwrap().expose()).await;
    assert!(matches!(refused, Err(AuthenticateError::Unknown)));
    assert!(matches!(world.auth.authenticate("").await, Err(AuthenticateError::Unknown)));
}

#[tokio::test]
async fn logging_out_ends_the_session_at_once_with_what_others_keep_for_it() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Supported).await;
    let desk = world.login("alice", "DESK", Unsupported).await;
    assert!(world.works(&phone).await);
    let mut batch = world.auth.batch(user("alice").as_str());
    let kept = ruma::DeviceId::new_hook(&phone.device_id);
    batch.put(&DeviceSeen { user_id: user("alice"), device_id: kept, at: 0, ip: None });
    world.auth.engine.commit(batch).await.unwrap();

    world.auth.logout(phone.access_token.expose()).await.unwrap();
    assert!(!world.works(&phone).await, "although it was in the cache");
    assert!(matches!(
        world.auth.refresh(phone.refresh_token.unwrap().expose()).await,
        Err(RefreshError::Unknown)
    ));
    assert!(world.works(&desk).await);
    assert_eq!(*world.ends.0.lock().unwrap(), ["PHONE"]);
    assert_eq!(world.rows::<Device>().await.len(), 1);
    assert!(world.rows::<RefreshToken>().await.is_empty());
    assert!(world.rows::<DeviceSeen>().await.is_empty(), "what the port added was in the commit");
    world.auth.logout(phone.access_token.expose()).await.unwrap();
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_however_many() {
    let world = world();
    world.account("alice").await;
    let bystander = {
        world.account("alicia").await;
        world.login("alicia", "PHONE", Unsupported).await
    };
    let mut sessions = Vec::new();
    for n in 0..150 {
        sessions.push(world.login("alice", &format!("D{n}"), Unsupported).await);
    }
    let requester = world.requester(&sessions[0]).await;
    assert_eq!(world.auth.devices(&requester).await.unwrap().len(), 150);
    world.auth.logout_all(&requester).await.unwrap();
    for session in &sessions {
        assert!(!world.works(session).await);
    }
    assert!(world.works(&bystander).await);
    assert_eq!(world.rows::<AccessToken>().await.len(), 1);
    assert_eq!(world.ends.0.lock().unwrap().len(), 150);
}

#[tokio::test]
async fn a_new_device_of_an_old_name_is_another_session() {
    let world = world();
    world.account("alice").await;
    let first = world.login("alice", "PHONE", Unsupported).await;
    let requester = world.requester(&first).await;
    world.auth.logout(first.access_token.expose()).await.unwrap();
    let second = world.login("alice", "PHONE", Unsupported).await;
    assert_ne!(world.requester(&second).await.session, requester.session);
}

#[tokio::test]
async fn deleting_devices_takes_only_the_requester_s_own() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let desk = world.login("alice", "DESK", Unsupported).await;
    let bob = world.login("bob", "TABLET", Unsupported).await;
    let alice = world.requester(&phone).await;
    let ids = ["DESK", "TABLET", "NONE", "DESK"].map(ruma::OwnedDeviceId::from);
    world.auth.delete_devices(&alice, &ids).await.unwrap();
    assert!(world.works(&phone).await && !world.works(&desk).await && world.works(&bob).await);
}

#[tokio::test]
async fn a_device_is_renamed_by_its_owner_only() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let bob = world.login("bob", "TABLET", Unsupported).await;
    let (alice, bob) = (world.requester(&phone).await, world.requester(&bob).await);
    world.auth.rename_device(&alice, &phone.device_id, Some("My phone".into())).await.unwrap();
    world.auth.rename_device(&alice, &phone.device_id, None).await.unwrap();
    let name = world.auth.device(&alice, &phone.device_id).await.unwrap().unwrap().display_name;
    assert_eq!(name.as_deref(), Some("My phone"));
    assert_eq!(*world.ends.0.lock().unwrap(), ["renamed PHONE"], "announced once");
    let refused = world.auth.rename_device(&bob, &phone.device_id, Some("Mine".into())).await;
    assert!(matches!(refused, Err(DeviceError::Unknown)));
    let long = world.auth.rename_device(&alice, &phone.device_id, Some("x".repeat(256))).await;
    assert!(matches!(long, Err(DeviceError::Problem(DeviceProblem::DisplayName))));
    assert!(world.works(&phone).await);
}

#[tokio::test]
async fn a_device_id_that_can_t_be_is_refused() {
    let world = world();
    world.account("alice").await;
    for id in [String::new(), "x".repeat(256)] {
        let session = NewSession { device_id: Some(id.into()), ..NewSession::default() };
        let refused = world.try_login("alice", PASSWORD, session).await;
        assert!(matches!(refused, Err(LoginError::Device(DeviceProblem::Id))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_device_can_t_have_the_id_of_a_cross_signing_key_of_its_user() {
    let world = world();
    world.account("alice").await;
    let mut batch = world.auth.batch(user("alice").as_str());
    let changed = batch.next_pos();
    let (user_id, usage) = (user("alice"), KeyUsage::Master);
    let public_key = "Mkey".to_owned();
    batch.put(&CrossSigningKey { user_id, usage, public_key, json: Bytes::new(), changed });
    world.auth.engine.commit(batch).await.unwrap();
    let session = NewSession { device_id: Some("Mkey".into()), ..NewSession::default() };
    let refused = world.try_login("alice", PASSWORD, session).await;
    assert!(matches!(refused, Err(LoginError::Device(DeviceProblem::CrossSigningKey))), "{refused:?}");
}

#[tokio::test]
async fn a_device_s_last_use_is_shown_at_once_and_written_once_in_a_few_minutes() {
    let world = world();
    world.account("alice").await;
    let phone = world.login("alice", "PHONE", Unsupported).await;
    let alice = world.requester(&phone).await;
    let ip = "192.0.2.7".parse().unwrap();
    world.clock.advance(Duration::from_secs(90));
    world.auth.seen(&alice, Some(ip));
    let minute = i64::try_from(world.clock.now()).unwrap() - 30_000;
    let shown = world.auth.device(&alice, &phone.device_id).await.unwrap().unwrap();
    assert_eq!((shown.last_seen_ip.as_deref(), shown.last_seen_ts), (Some("192.0.2.7"), Some(minute)));

    let stored = async |world: &World| world.rows::<DeviceSeen>().await.first().map(|row| row.at);
    assert_eq!(stored(&world).await, None);
    world.auth.write_seen(Due::Rested).await.unwrap();
    assert_eq!(stored(&world).await, Some(minute));
    world.clock.advance(Duration::from_secs(60));
    world.auth.seen(&alice, Some(ip));
    world.auth.write_seen(Due::Rested).await.unwrap();
    assert_eq!(stored(&world).await, Some(minute), "not yet again");
    world.clock.advance(Duration::from_secs(240));
    world.auth.write_seen(Due::Rested).await.unwrap();
    assert_eq!(stored(&world).await, Some(minute + 60_000));
    world.clock.advance(Duration::from_secs(60));
    world.auth.seen(&alice, None);
    world.auth.write_seen(Due::All).await.unwrap();
    assert_eq!(stored(&world).await, Some(minute + 360_000), "all of it when the server stops");
    let row = world.rows::<DeviceSeen>().await.remove(0);
    assert_eq!(row.ip.as_deref(), Some("192.0.2.7"), "the last known address stays");
}

#[tokio::test]
async fn a_device_that_is_gone_leaves_no_trace_of_when_it_was_seen() {
    let world = world();
    world.account("alice").await;
    let (phone, desk) =
        (world.login("alice", "PHONE", Unsupported).await, world.login("alice", "DESK", Unsupported).await);
    let (on_phone, on_desk) = (world.requester(&phone).await, world.requester(&desk).await);
    world.auth.seen(&on_phone, None);
    world.auth.seen(&on_desk, None);
    world.auth.logout(phone.access_token.expose()).await.unwrap();
    world.auth.write_seen(Due::Rested).await.unwrap();
    let rows = world.rows::<DeviceSeen>().await;
    assert_eq!(rows.iter().map(|row| row.device_id.as_str()).collect::<Vec<_>>(), ["DESK"]);
}

#[tokio::test]
async fn a_locked_account_keeps_its_sessions_and_can_do_nothing_with_them() {
    let world = world();
    let alice = world.account("alice").await;
    let issued = world.login("alice", "PHONE", Supported).await;
    assert!(world.works(&issued).await);
    world.auth.lock(&Actor::Operator, &alice).await.unwrap();
    let locked = world.auth.authenticate(issued.access_token.expose()).await;
    let Err(AuthenticateError::Locked(requester)) = locked else { panic!("{locked:?}") };
    assert_eq!(requester.user_id, alice);
    let refresh = issued.refresh_token.clone().unwrap();
    assert!(matches!(world.auth.refresh(refresh.expose()).await, Err(RefreshError::Locked)));
    let right = world.try_login("alice", PASSWORD, NewSession::default()).await;
    assert!(matches!(right, Err(LoginError::Locked)), "{right:?}");
    let wrong = world.try_login("alice", "wrong", NewSession::default()).await;
    assert!(matches!(wrong, Err(LoginError::Wrong)), "only who knows the password learns of it");
    world.auth.unlock(&Actor::Operator, &alice).await.unwrap();
    assert!(world.works(&issued).await);
    world.auth.lock(&Actor::Operator, &alice).await.unwrap();
    world.auth.logout(issued.access_token.expose()).await.unwrap();
    assert!(world.rows::<Device>().await.is_empty(), "logging out is allowed");
}

#[tokio::test]
async fn a_password_that_changes_while_it_is_used_opens_no_session() {
    let world = world();
    world.account("alice").await;
    let desk = world.login("alice", "DESK", Unsupported).await;
    let requester = world.requester(&desk).await;
    let auth = Arc::clone(&world.auth);
    world.engine.before_next_commit(async move {
        auth.change_password(&requester, secret("battery staple"), OtherSessions::End).await.unwrap();
    });
    let late = world.try_login("alice", PASSWORD, NewSession::default()).await;
    assert!(matches!(late, Err(LoginError::Wrong)), "{late:?}");
    assert_eq!(world.rows::<Device>().await.len(), 1);
}

#[tokio::test]
async fn a_lock_or_a_deactivation_while_somebody_logs_in_holds() {
    let world = world();
    let (alice, bob) = (world.account("alice").await, world.account("bob").await);
    let auth = Arc::clone(&world.auth);
    world.engine.before_next_commit(async move { auth.lock(&Actor::Operator, &alice).await.unwrap() });
    let late = world.try_login("alice", PASSWORD, NewSession::default()).await;
    assert!(matches!(late, Err(LoginError::Locked)), "{late:?}");
    let auth = Arc::clone(&world.auth);
    world.engine.before_next_commit(async move {
        auth.deactivate(&Actor::Operator, &bob, Erase::No).await.unwrap();
    });
    let late = world.try_login("bob", PASSWORD, NewSession::default()).await;
    assert!(matches!(late, Err(LoginError::Wrong)), "{late:?}");
    assert!(world.rows::<Device>().await.is_empty());
}

#[tokio::test]
async fn the_first_use_of_a_new_token_while_the_old_refresh_token_is_used_spends_it() {
    let world = world();
    world.account("alice").await;
    let first = world.login("alice", "PHONE", Supported).await;
    let old = first.refresh_token.clone().unwrap();
    let second = world.auth.refresh(old.expose()).await.unwrap();
    let (auth, used) = (Arc::clone(&world.auth), second.clone());
    world.engine.before_next_commit(async move {
        auth.authenticate(used.access_token.expose()).await.unwrap();
    });
    let late = world.auth.refresh(old.expose()).await;
    assert!(matches!(late, Err(RefreshError::Spent)), "{late:?}");
    assert!(world.works(&second).await);
}

#[tokio::test]
async fn a_logout_while_a_token_is_refreshed_leaves_no_session() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Supported).await;
    let token = issued.access_token.clone();
    let auth = Arc::clone(&world.auth);
    world.engine.before_next_commit(async move { auth.logout(token.expose()).await.unwrap() });
    let late = world.auth.refresh(issued.refresh_token.unwrap().expose()).await;
    assert!(matches!(late, Err(RefreshError::Unknown)), "{late:?}");
    assert!(world.rows::<AccessToken>().await.is_empty() && world.rows::<RefreshToken>().await.is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_during_its_logout_is_logged_out() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    assert!(world.works(&issued).await);
    let token = issued.access_token.clone();
    let (reached, waits) = tokio::sync::oneshot::channel();
    let (go_on, gate) = tokio::sync::oneshot::channel::<()>();
    world.engine.before_next_commit(async move {
        reached.send(()).unwrap();
        gate.await.unwrap();
    });
    let auth = Arc::clone(&world.auth);
    let request = tokio::spawn(async move { auth.logout(token.expose()).await });
    waits.await.unwrap();
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!world.works(&issued).await, "neither in the store nor in the cache");
}

#[tokio::test]
async fn a_logout_that_is_overtaken_by_a_new_login_on_the_device_leaves_that_one_alone() {
    let world = world();
    world.account("alice").await;
    let old = world.login("alice", "PHONE", Supported).await;
    let auth = Arc::clone(&world.auth);
    let (opened, reopened) = tokio::sync::oneshot::channel();
    world.engine.before_next_commit(async move {
        let session = NewSession { device_id: Some("PHONE".into()), ..NewSession::default() };
        let user = crate::Identifier::User("alice".to_owned());
        let origin = crate::Origin::default();
        let login = crate::Login { user, password: secret(PASSWORD), session, origin };
        opened.send(auth.login(login).await.unwrap()).unwrap();
    });
    world.auth.logout(old.access_token.expose()).await.unwrap();
    assert!(world.works(&reopened.await.unwrap()).await);
    assert!(!world.works(&old).await);
}

#[tokio::test]
async fn a_logout_that_is_overtaken_by_the_session_s_own_refresh_ends_it_all_the_same() {
    let world = world();
    world.account("alice").await;
    let old = world.login("alice", "PHONE", Supported).await;
    let next = world.auth.refresh(old.refresh_token.as_ref().unwrap().expose()).await.unwrap();
    let auth = Arc::clone(&world.auth);
    let token = next.access_token.clone();
    world.engine.before_next_commit(async move {
        auth.authenticate(token.expose()).await.unwrap();
    });
    world.auth.logout(old.access_token.expose()).await.unwrap();
    assert!(!world.works(&next).await);
}
