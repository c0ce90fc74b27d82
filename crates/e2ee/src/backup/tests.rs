use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_model::Requester;
use myelin_store::schema::e2ee::BackedUpSession;
use proptest::prelude::*;
use ruma::OwnedRoomId;

use super::rule::replaces;
use super::{BackupError, BackupScope, NewBackup, SessionUpload};
use crate::testing::{World, user};

fn new(public_key: &str) -> NewBackup {
    NewBackup {
        algorithm: "m.megolm_backup.v1".to_owned(),
        auth_data: format!("{{\"k\":\"{public_key}\"}}").into(),
    }
}

fn room(n: usize) -> OwnedRoomId {
    format!("!room{n}:here.test").as_str().try_into().unwrap()
}

fn session(room_id: OwnedRoomId, id: &str, first_message_index: i64) -> SessionUpload {
    SessionUpload {
        room_id,
        session_id: id.to_owned(),
        first_message_index,
        forwarded_count: 0,
        is_verified: false,
        session_data: Bytes::from_static(b"{\"ciphertext\":\"x\"}"),
    }
}

async fn world() -> (World, Requester) {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    (world, alice)
}

#[tokio::test]
async fn versions_count_up_and_the_newest_is_current() {
    let (world, alice) = world().await;
    let e2ee = &world.e2ee;
    assert!(matches!(e2ee.backup(&alice, None).await, Err(BackupError::NotFound)));
    assert_eq!(e2ee.create_backup(&alice, &new("a")).await.unwrap(), "1");
    assert_eq!(e2ee.create_backup(&alice, &new("b")).await.unwrap(), "2");
    let current = e2ee.backup(&alice, None).await.unwrap();
    assert_eq!((current.version.as_str(), &current.auth_data[..]), ("2", &b"{\"k\":\"b\"}"[..]));
    assert_eq!(e2ee.backup(&alice, Some("1")).await.unwrap().auth_data, new("a").auth_data);
    e2ee.delete_backup(&alice, "2").await.unwrap();
    e2ee.delete_backup(&alice, "2").await.unwrap();
    assert_eq!(e2ee.backup(&alice, None).await.unwrap().version, "1");
    assert_eq!(e2ee.create_backup(&alice, &new("c")).await.unwrap(), "3", "a number is given once");
    for unknown in ["9", "02", "x", "-1", ""] {
        assert!(matches!(e2ee.backup(&alice, Some(unknown)).await, Err(BackupError::NotFound)), "{unknown}");
        assert!(matches!(e2ee.delete_backup(&alice, unknown).await, Err(BackupError::NotFound)), "{unknown}");
    }
    let bob = world.device("bob", "B1").await;
    assert!(matches!(e2ee.backup(&bob, Some("1")).await, Err(BackupError::NotFound)), "it is the user's own");
}

#[tokio::test]
async fn only_the_auth_data_can_be_updated() {
    let (world, alice) = world().await;
    world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
    world.e2ee.update_backup(&alice, "1", &new("b")).await.unwrap();
    assert_eq!(world.e2ee.backup(&alice, Some("1")).await.unwrap().auth_data, new("b").auth_data);
    let other = NewBackup { algorithm: "other".to_owned(), ..new("b") };
    let error = world.e2ee.update_backup(&alice, "1", &other).await.unwrap_err();
    assert!(matches!(error, BackupError::OtherAlgorithm), "{error}");
}

#[tokio::test]
async fn keys_go_into_the_current_version_only() {
    let (world, alice) = world().await;
    let store = async |version: &str| {
        world.e2ee.store_sessions(&alice, version, vec![session(room(1), "s", 0)]).await
    };
    assert!(matches!(store("1").await, Err(BackupError::NotFound)));
    world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
    world.e2ee.create_backup(&alice, &new("b")).await.unwrap();
    let error = store("1").await.unwrap_err();
    assert!(matches!(&error, BackupError::WrongVersion { current } if current == "2"), "{error}");
    assert!(matches!(store("7").await, Err(BackupError::NotFound)));
    assert_eq!(store("2").await.unwrap().count, 1);
    world.e2ee.delete_backup(&alice, "2").await.unwrap();
    let error = store("2").await.unwrap_err();
    assert!(matches!(&error, BackupError::WrongVersion { current } if current == "1"), "{error}");
    assert!(world.all::<BackedUpSession>().await.is_empty());
}

#[tokio::test]
async fn count_and_etag_follow_what_is_stored() {
    let (world, alice) = world().await;
    world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
    let store = async |sessions| world.e2ee.store_sessions(&alice, "1", sessions).await.unwrap();
    let first =
        store(vec![session(room(1), "a", 5), session(room(1), "b", 5), session(room(2), "a", 5)]).await;
    assert_eq!(first.count, 3);
    assert_eq!(
        store(vec![session(room(1), "a", 5)]).await,
        first,
        "a copy that is no better changes nothing"
    );
    let better = store(vec![session(room(1), "a", 4)]).await;
    assert_eq!(better.count, 3);
    assert_ne!(better.etag, first.etag);
    let one = BackupScope::Session(room(1), "a".to_owned());
    let delete = async |scope: &BackupScope| world.e2ee.delete_sessions(&alice, "1", scope).await.unwrap();
    let fewer = delete(&one).await;
    assert_eq!(fewer.count, 2);
    assert_ne!(fewer.etag, better.etag);
    assert_eq!(delete(&one).await, fewer, "it was gone already");
    assert_eq!(delete(&BackupScope::Room(room(1))).await.count, 1);
    assert_eq!(delete(&BackupScope::All).await.count, 0);
    assert!(world.all::<BackedUpSession>().await.is_empty());
    assert_eq!(world.e2ee.backup(&alice, None).await.unwrap().state.count, 0);
}

#[tokio::test]
async fn a_large_backup_goes_in_and_comes_out_whole() {
    let (world, alice) = world().await;
    world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
    let mut expected = BTreeMap::new();
    for part in 0..5 {
        let sessions: Vec<_> = (0..1_000)
            .map(|n| session(room((part * 1_000 + n) % 37), &format!("s{part}/{n}"), n as i64))
            .collect();
        for session in &sessions {
            expected
                .insert((session.room_id.clone(), session.session_id.clone()), session.first_message_index);
        }
        world.e2ee.store_sessions(&alice, "1", sessions).await.unwrap();
    }
    let state = world.e2ee.backup(&alice, None).await.unwrap().state;
    assert_eq!(state.count, 5_000);
    for only in [None, Some(room(3))] {
        let (mut found, mut cursor) = (BTreeMap::new(), None);
        loop {
            let page =
                world.e2ee.backup_page(&alice, "1", only.as_ref(), cursor.as_ref(), 300).await.unwrap();
            for row in page.sessions {
                assert_eq!(row.device_id.as_deref(), alice.device_id.as_deref());
                let old = found.insert((row.room_id, row.session_id), row.first_message_index);
                assert_eq!(old, None, "twice");
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected = expected.clone();
        expected.retain(|(room, _), _| only.as_ref().is_none_or(|only| only == room));
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn sessions_without_a_proper_form_are_refused() {
    let (world, alice) = world().await;
    world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
    let good = session(room(1), "s", 0);
    for bad in [
        vec![SessionUpload { session_id: String::new(), ..good.clone() }],
        vec![SessionUpload { first_message_index: -1, ..good.clone() }],
        vec![SessionUpload { session_data: Bytes::from_static(b"\"text\""), ..good.clone() }],
        vec![SessionUpload { session_data: vec![b'{'; 70_000].into(), ..good.clone() }],
        vec![good.clone(), good.clone()],
    ] {
        let result = world.e2ee.store_sessions(&alice, "1", bad).await;
        assert!(matches!(result, Err(BackupError::Malformed(_))));
    }
    assert!(world.e2ee.store_sessions(&alice, "1", vec![]).await.is_ok());
}

/// The rule as the specification tells it, step by step.
fn told(new: &BackedUpSession, old: &BackedUpSession) -> bool {
    if new.is_verified != old.is_verified {
        return new.is_verified;
    }
    if new.first_message_index != old.first_message_index {
        return new.first_message_index < old.first_message_index;
    }
    new.forwarded_count < old.forwarded_count
}

fn any_session() -> impl Strategy<Value = BackedUpSession> {
    (0..4_i64, 0..4_i64, any::<bool>(), 0..1_000_u32).prop_map(
        |(first_message_index, forwarded_count, is_verified, mark)| BackedUpSession {
            user_id: user("alice"),
            version: 1,
            room_id: room(1),
            session_id: "s".to_owned(),
            first_message_index,
            forwarded_count,
            is_verified,
            session_data: format!("{{\"mark\":{mark}}}").into(),
            device_id: None,
        },
    )
}

proptest! {
    #[test]
    fn the_rule_is_the_specifications(new in any_session(), old in any_session()) {
        prop_assert_eq!(replaces(&new, &old), told(&new, &old));
        prop_assert!(!(replaces(&new, &old) && replaces(&old, &new)));
    }

    #[test]
    fn the_best_copy_stays_in_whatever_order_they_come(copies in prop::collection::vec(any_session(), 1..12)) {
        let kept = copies.iter().cloned().reduce(|old, new| if replaces(&new, &old) { new } else { old }).unwrap();
        prop_assert!(copies.iter().all(|copy| !replaces(copy, &kept)));
        let reversed = copies.iter().rev().cloned();
        let other = reversed.reduce(|old, new| if replaces(&new, &old) { new } else { old }).unwrap();
        prop_assert!(!replaces(&other, &kept) && !replaces(&kept, &other));
    }

    #[test]
    fn the_service_keeps_what_the_rule_keeps(copies in prop::collection::vec(any_session(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (world, alice) = world().await;
            world.e2ee.create_backup(&alice, &new("a")).await.unwrap();
            for copy in &copies {
                let upload = SessionUpload {
                    room_id: copy.room_id.clone(),
                    session_id: copy.session_id.clone(),
                    first_message_index: copy.first_message_index,
                    forwarded_count: copy.forwarded_count,
                    is_verified: copy.is_verified,
                    session_data: copy.session_data.clone(),
                };
                world.e2ee.store_sessions(&alice, "1", vec![upload]).await.unwrap();
            }
            let kept = copies.iter().reduce(|old, new| if told(new, old) { new } else { old }).unwrap();
            let found = world.e2ee.backed_up_session(&alice, "1", &room(1), "s").await.unwrap().unwrap();
            assert_eq!(found.session_data, kept.session_data);
        });
    }
}
