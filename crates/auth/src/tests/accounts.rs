use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_store::schema::auth::{Account, Audit, Device, Password};
use sha1::{Digest as _, Sha1};

use super::{PASSWORD, listing, secret, user, world, world_with};
use crate::{
    AccountError, Actor, AdminRights, BreachedPasswords, Departing, Erase, Guess, Lock, LoginError,
    ModerationError, NewAccount, NewSession, OtherSessions, PasswordDigest, PasswordProblem,
    RefreshTokens::{Supported, Unsupported},
    RegisterError,
};

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_not_the_own() {
    let world = world();
    world.account("alice").await;
    let here = world.login("alice", "HERE", Unsupported).await;
    let there = world.login("alice", "THERE", Supported).await;
    let alice = world.requester(&here).await;
    world.auth.change_password(&alice, secret("battery staple"), OtherSessions::End).await.unwrap();
    assert!(world.works(&here).await && !world.works(&there).await);
    assert!(matches!(
        world.try_login("alice", PASSWORD, NewSession::default()).await,
        Err(LoginError::Wrong)
    ));
    assert!(world.try_login("alice", "battery staple", NewSession::default()).await.is_ok());
}

#[tokio::test]
async fn other_sessions_may_be_kept_when_the_password_changes() {
    let world = world();
    world.account("alice").await;
    let here = world.login("alice", "HERE", Unsupported).await;
    let there = world.login("alice", "THERE", Unsupported).await;
    let alice = world.requester(&here).await;
    world.auth.change_password(&alice, secret("battery staple"), OtherSessions::Keep).await.unwrap();
    assert!(world.works(&here).await && world.works(&there).await);
}

#[tokio::test]
async fn a_weak_password_is_refused_from_users_and_taken_from_operators() {
    let world = world();
    let alice = world.account("alice").await;
    let here = world.login("alice", "HERE", Unsupported).await;
    let requester = world.requester(&here).await;
    let refused = world.auth.change_password(&requester, secret("short"), OtherSessions::Keep).await;
    assert!(
        matches!(refused, Err(AccountError::Password(PasswordProblem::Weak { least: 8 }))),
        "{refused:?}"
    );
    world.auth.reset_password(&Actor::Operator, &alice, secret("short"), OtherSessions::End).await.unwrap();
    assert!(!world.works(&here).await);
    assert!(world.try_login("alice", "short", NewSession::default()).await.is_ok());
}

#[tokio::test]
async fn a_password_that_is_easily_guessed_is_refused_with_the_reason_and_never_an_operator_s() {
    let world = world();
    let alice = world.account("alice").await;
    let requester = world.requester(&world.login("alice", "HERE", Unsupported).await).await;
    let change = |password: &str| {
        let (auth, requester) = (std::sync::Arc::clone(&world.auth), requester.clone());
        let password = secret(password);
        async move { auth.change_password(&requester, password, OtherSessions::Keep).await }
    };
    for (password, guess) in [("password1", Guess::Common), ("abcdefghi", Guess::Sequence)] {
        let refused = change(password).await;
        let Err(AccountError::Password(PasswordProblem::Guessable(why))) = refused else {
            panic!("{password}: {refused:?}")
        };
        assert_eq!(why, guess, "{password}");
    }
    let own_name = change("Alice1234").await;
    assert!(matches!(own_name, Err(AccountError::Password(PasswordProblem::Guessable(_)))), "{own_name:?}");
    change("seven tin kettles").await.unwrap();
    world
        .auth
        .reset_password(&Actor::Operator, &alice, secret("password1"), OtherSessions::End)
        .await
        .unwrap();
    let bot = NewAccount::new(user("bot"), secret("bot"));
    world.auth.create_account(&Actor::SharedSecret, bot).await.unwrap();
    let any = world_with(|config| config.min_password_score = 0);
    let new = NewAccount::new(user("bob"), secret("password1"));
    any.auth.create_account(&Actor::User(user("bob")), new).await.unwrap();
}

/// A list with one password on it, or one that nobody can read.
struct Listed(Option<[u8; 20]>);

impl BreachedPasswords for Listed {
    fn contains<'a>(&'a self, digest: &'a PasswordDigest) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(
            async move { self.0.map(|listed| listed == digest.0).ok_or_else(|| "out of reach".to_owned()) },
        )
    }
}

#[tokio::test]
async fn a_password_that_was_stolen_elsewhere_is_refused_and_a_list_out_of_reach_keeps_nobody_out() {
    let stolen = Sha1::digest(b"seven tin kettles").into();
    for (list, refused) in [(Some(stolen), true), (None, false)] {
        let world = listing(std::sync::Arc::new(Listed(list)));
        for (name, password, refused) in
            [("alice", "seven tin kettles", refused), ("bob", "eight tin kettles", false)]
        {
            let new = NewAccount::new(user(name), secret(password));
            let made = world.auth.create_account(&Actor::User(user(name)), new).await;
            let is_refused = matches!(made, Err(RegisterError::Password(PasswordProblem::Breached)));
            assert_eq!((is_refused, made.is_ok()), (refused, !refused), "{password}: {made:?}");
        }
        let by_operator = NewAccount::new(user("carol"), secret("seven tin kettles"));
        world.auth.create_account(&Actor::Operator, by_operator).await.unwrap();
    }
}

#[tokio::test]
async fn a_deactivated_account_is_gone_for_good_and_its_name_stays_taken() {
    let world = world();
    let alice = world.account("alice").await;
    let mut sessions = Vec::new();
    for n in 0..70 {
        sessions.push(world.login("alice", &format!("D{n:02}"), Supported).await);
    }
    assert!(world.works(&sessions[0]).await);
    let gone = world.auth.deactivate(&Actor::User(alice.clone()), &alice, Erase::Yes).await.unwrap();
    assert_eq!(gone.devices.len(), 70);
    for session in &sessions {
        assert!(!world.works(session).await);
    }
    assert!(world.rows::<Device>().await.is_empty() && world.rows::<Password>().await.is_empty());
    assert!(matches!(
        world.try_login("alice", PASSWORD, NewSession::default()).await,
        Err(LoginError::Wrong)
    ));
    assert!(matches!(world.auth.available("alice").await, Err(RegisterError::Taken)));
    let again = world.auth.deactivate(&Actor::Operator, &alice, Erase::No).await;
    assert!(matches!(again, Err(AccountError::Unknown)));
    let reset = world.auth.reset_password(&Actor::Operator, &alice, secret("x"), OtherSessions::End).await;
    assert!(matches!(reset, Err(AccountError::Unknown)));
}

#[tokio::test]
async fn whoever_leaves_the_rooms_finds_deactivated_accounts_until_they_are_done() {
    let world = world();
    let alice = world.account("alice").await;
    world.account("bob").await;
    assert!(world.auth.departing(10).await.unwrap().is_empty());
    world.auth.deactivate(&Actor::Operator, &alice, Erase::Yes).await.unwrap();
    let departing = vec![Departing { user_id: alice.clone(), erase: Erase::Yes }];
    assert_eq!(world.auth.departing(10).await.unwrap(), departing);
    world.auth.departed(&alice).await.unwrap();
    assert!(world.auth.departing(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn administrators_are_made_and_unmade_at_once() {
    let world = world();
    let alice = world.account("alice").await;
    let here = world.login("alice", "HERE", Unsupported).await;
    assert!(!world.requester(&here).await.is_admin);
    world.auth.set_admin(&Actor::Operator, &alice, AdminRights::Granted).await.unwrap();
    assert!(world.requester(&here).await.is_admin);
    world.auth.set_admin(&Actor::Operator, &alice, AdminRights::Revoked).await.unwrap();
    assert!(!world.requester(&here).await.is_admin);
    let nobody = world.auth.set_admin(&Actor::Operator, &user("nobody"), AdminRights::Granted).await;
    assert!(matches!(nobody, Err(AccountError::Unknown)));
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_each_can_be_looked_up() {
    let world = world();
    for name in ["carol", "alice", "bob"] {
        world.account(name).await;
    }
    let names = |page: Vec<crate::AccountInfo>| -> Vec<String> {
        page.into_iter().map(|account| account.user_id.localpart().to_owned()).collect()
    };
    assert_eq!(names(world.auth.accounts(None, 2).await.unwrap()), ["alice", "bob"]);
    assert_eq!(names(world.auth.accounts(Some(&user("bob")), 2).await.unwrap()), ["carol"]);
    assert!(world.auth.account(&user("bob")).await.unwrap().is_some());
    assert!(world.auth.account(&user("dave")).await.unwrap().is_none());
}

#[tokio::test]
async fn an_old_account_with_capitals_can_be_used() {
    let world = world();
    let old = user("Old!Name");
    let new = NewAccount::new(old.clone(), secret(PASSWORD));
    world.auth.create_account(&Actor::Operator, new).await.unwrap();
    let issued = world.try_login("Old!Name", PASSWORD, NewSession::default()).await.unwrap();
    assert_eq!(world.requester(&issued).await.user_id, old);
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_forgets_with_time() {
    let world = world_with(|config| config.audit_kept = Duration::from_secs(1000));
    let alice = world.account("alice").await;
    world.login("alice", "PHONE", Unsupported).await;
    world.clock.advance(Duration::from_secs(600));
    world.auth.lock(&Actor::User(user("root")), &alice).await.unwrap();
    let told = |entries: Vec<crate::AuditEntry>| -> Vec<String> {
        entries.iter().map(|entry| format!("{} {}", entry.actor, entry.told)).collect()
    };
    let expected = ["@root:example.org account.lock", "@alice:example.org login", "operator account.create"];
    assert_eq!(told(world.auth.audit_of(&alice, 10).await.unwrap()), expected);
    let login = &world.auth.audit_of(&alice, 2).await.unwrap()[1];
    assert_eq!(login.detail.as_deref(), Some("PHONE"));
    world.clock.advance(Duration::from_secs(500));
    world.auth.prune_audit().await.unwrap();
    assert_eq!(told(world.auth.audit_of(&alice, 10).await.unwrap()), &expected[..1]);
    assert_eq!(world.rows::<Audit>().await.len(), 1);
}

#[tokio::test]
async fn concurrent_changes_of_one_account_all_take_effect() {
    let world = world();
    let alice = world.account("alice").await;
    let operator = Actor::Operator;
    let (locked, admin, password) = tokio::join!(
        world.auth.lock(&operator, &alice),
        world.auth.set_admin(&operator, &alice, AdminRights::Granted),
        world.auth.reset_password(&operator, &alice, secret("battery staple"), OtherSessions::End),
    );
    locked.and(admin).and(password).unwrap();
    let row = world.rows::<Account>().await.remove(0);
    assert!(row.locked_at.is_some() && row.is_admin);
    assert_eq!(row.version, 4);
}

#[tokio::test]
async fn administrators_lock_others_and_neither_each_other_nor_themselves() {
    let world = world();
    let (alice, bob, root) =
        (world.account("alice").await, world.account("bob").await, world.account("root").await);
    for admin in [&bob, &root] {
        world.auth.set_admin(&Actor::Operator, admin, AdminRights::Granted).await.unwrap();
    }
    let by = async |name: &str| world.requester(&world.login(name, "PHONE", Unsupported).await).await;
    let (as_alice, as_root) = (by("alice").await, by("root").await);
    assert_eq!(world.auth.lock_of(&as_root, &alice).await.unwrap(), Lock::Unlocked);
    world.auth.set_lock(&as_root, &alice, Lock::Locked).await.unwrap();
    assert_eq!(world.auth.lock_of(&as_root, &alice).await.unwrap(), Lock::Locked);
    world.auth.set_lock(&as_root, &alice, Lock::Unlocked).await.unwrap();
    assert_eq!(world.auth.lock_of(&as_root, &alice).await.unwrap(), Lock::Unlocked);
    let forbidden = [(&as_alice, &user("nobody")), (&as_root, &bob), (&as_root, &root)];
    for (asks, target) in forbidden {
        let refused = world.auth.set_lock(asks, target, Lock::Locked).await;
        assert!(matches!(refused, Err(ModerationError::Forbidden)), "{target}: {refused:?}");
    }
    let foreign = ruma::OwnedUserId::try_from("@a:elsewhere.org").unwrap();
    assert!(matches!(world.auth.lock_of(&as_root, &foreign).await, Err(ModerationError::Remote)));
    let nobody = world.auth.lock_of(&as_root, &user("nobody")).await;
    assert!(matches!(nobody, Err(ModerationError::Unknown)));
}
