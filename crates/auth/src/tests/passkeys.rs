//! Passkeys over the store, with an authenticator in the test's hands.

mod authenticator;

use std::sync::Arc;
use std::time::Duration;

use myelin_runtime::Secret;
use myelin_store::schema::auth::{Audit, Password};
use myelin_store::schema::factors::{Passkey as Row, RecoveryCode, UsedChallenge};
use myelin_store::schema::oauth::BrowserSession;

use self::authenticator::{Authenticator, Says};
use super::{PASSWORD, World, secret, world, world_with};
use crate::{
    AccountError, Actor, Browser, HalfSignedIn, Identifier, LoginError, NewBrowser, NewSession, Origin,
    PasskeyError, SignIn,
};

struct Person {
    world: World,
    browser: Browser,
    key: Authenticator,
    codes: Vec<String>,
}

impl World {
    async fn signed_in(&self, name: &str) -> Browser {
        let user = Identifier::User(name.to_owned());
        let SignIn::Done(browser) =
            self.auth.sign_in(&user, secret(PASSWORD), &Origin::default()).await.unwrap()
        else {
            panic!("half")
        };
        self.auth.browser(browser.cookie.expose()).await.unwrap().unwrap()
    }

    async fn enrol(&self, browser: &Browser, key: &mut Authenticator) -> Result<Vec<String>, PasskeyError> {
        let challenge = self.auth.begin_passkey(browser).await.unwrap().unwrap();
        let answer = key.create(&challenge.options, Says::default());
        let codes = self.auth.add_passkey(browser, &challenge.sealed, &answer, " my \n phone ").await?;
        Ok(codes.into_iter().map(Secret::into_inner).collect())
    }
}

async fn person() -> Person {
    let world = world();
    world.account("alice").await;
    let browser = world.signed_in("alice").await;
    let mut key = Authenticator::new(1);
    let codes = world.enrol(&browser, &mut key).await.unwrap();
    Person { world, browser, key, codes }
}

impl Person {
    async fn sign_in(&mut self, says: Says<'_>) -> Result<NewBrowser, PasskeyError> {
        let challenge = self.world.auth.ask_for_passkey().unwrap();
        let answer = self.key.get(&challenge.options, says);
        self.world.auth.sign_in_by_passkey(None, (&challenge.sealed, &answer), &Origin::default()).await
    }

    async fn half(&self) -> HalfSignedIn {
        let user = Identifier::User("alice".to_owned());
        let SignIn::Half(half) =
            self.world.auth.sign_in(&user, secret(PASSWORD), &Origin::default()).await.unwrap()
        else {
            panic!("the password alone is enough")
        };
        self.world.auth.half_signed_in(half.cookie.expose()).unwrap()
    }

    async fn did(&self, action: &str) -> bool {
        self.world.rows::<Audit>().await.iter().any(|row| row.action == action)
    }
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_is_a_second_factor_to_the_password() {
    let mut person = person().await;
    assert_eq!(person.codes.len(), 10);
    let signed_in = person.sign_in(Says::default()).await.unwrap();
    let browser = person.world.auth.browser(signed_in.cookie.expose()).await.unwrap().unwrap();
    assert_eq!(browser.user_id, person.browser.user_id);
    let passkey = person.world.auth.passkeys(&browser).await.unwrap().remove(0);
    assert_eq!(passkey.name, "my phone");
    assert!(passkey.used_at.is_some() && person.did("passkey.add").await);
    let legacy = person.world.try_login("alice", PASSWORD, NewSession::default()).await;
    assert!(matches!(legacy, Err(LoginError::SecondFactor)), "{legacy:?}");
    let half = person.half().await;
    let challenge = person.world.auth.ask_for_own_passkey(&half).await.unwrap().unwrap();
    assert!(challenge.options.contains(&person.key.id()), "the browser is told which");
    let answer = person.key.get(&challenge.options, Says { handle: false, ..Says::default() });
    person
        .world
        .auth
        .sign_in_by_passkey(Some(&half), (&challenge.sealed, &answer), &Origin::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn whatever_does_not_fit_signs_nobody_in() {
    let mut person = person().await;
    for (what, says) in [
        ("another site", Says { origin: "https://evil.org", ..Says::default() }),
        ("a host below", Says { origin: "https://x.example.org", ..Says::default() }),
        ("another port", Says { origin: "https://example.org:8443", ..Says::default() }),
        ("no TLS", Says { origin: "http://example.org", ..Says::default() }),
        ("another party", Says { party: "evil.org", ..Says::default() }),
        ("another challenge", Says { challenge: Some("AAAA"), ..Says::default() }),
        ("a registration", Says { kind: Some("webauthn.create"), ..Says::default() }),
        ("nobody verified", Says { verified: false, ..Says::default() }),
        ("nobody present", Says { present: false, ..Says::default() }),
        ("another key's signature", Says { forged: true, ..Says::default() }),
    ] {
        let refused = person.sign_in(says).await;
        assert!(matches!(refused, Err(PasskeyError::Wrong)), "{what}: {refused:?}");
    }
    let nobody = person.sign_in(Says { handle: false, ..Says::default() }).await;
    assert!(matches!(nobody, Err(PasskeyError::Unknown)), "who is it? {nobody:?}");
    let auth = &person.world.auth;
    let challenge = auth.ask_for_passkey().unwrap();
    for garbage in ["", "{}", "null", "[]", "{\"id\":1}"] {
        let refused = auth.sign_in_by_passkey(None, (&challenge.sealed, garbage), &Origin::default()).await;
        assert!(matches!(refused, Err(PasskeyError::Wrong)), "{garbage}");
    }
    let stranger = Authenticator::new(2).get(&challenge.options, Says::default());
    let unknown = auth.sign_in_by_passkey(None, (&challenge.sealed, &stranger), &Origin::default()).await;
    assert!(matches!(unknown, Err(PasskeyError::Unknown)), "{unknown:?}");
    assert_eq!(person.world.rows::<BrowserSession>().await.len(), 1, "only where it was enrolled");
    person.sign_in(Says::default()).await.unwrap();
}

#[tokio::test]
async fn a_challenge_is_answered_once_soon_and_for_what_it_was_made_for() {
    let mut person = person().await;
    let auth = Arc::clone(&person.world.auth);
    let challenge = auth.ask_for_passkey().unwrap();
    let answer = person.key.get(&challenge.options, Says::default());
    auth.sign_in_by_passkey(None, (&challenge.sealed, &answer), &Origin::default()).await.unwrap();
    let again = auth.sign_in_by_passkey(None, (&challenge.sealed, &answer), &Origin::default()).await;
    assert!(matches!(again, Err(PasskeyError::Ended)), "{again:?}");

    let challenge = auth.ask_for_passkey().unwrap();
    let answer = person.key.get(&challenge.options, Says::default());
    let (other, same) = (Arc::clone(&auth), (challenge.sealed.clone(), answer.clone()));
    person.world.engine.before_next_commit(async move {
        other.sign_in_by_passkey(None, (&same.0, &same.1), &Origin::default()).await.unwrap();
    });
    let late = auth.sign_in_by_passkey(None, (&challenge.sealed, &answer), &Origin::default()).await;
    assert!(matches!(late, Err(PasskeyError::Ended)), "of two at once: {late:?}");

    let enrolment = auth.begin_passkey(&person.browser).await.unwrap().unwrap();
    let answer = person.key.get(&enrolment.options, Says::default());
    let other_use = auth.sign_in_by_passkey(None, (&enrolment.sealed, &answer), &Origin::default()).await;
    assert!(matches!(other_use, Err(PasskeyError::Ended)), "{other_use:?}");

    let challenge = auth.ask_for_passkey().unwrap();
    let answer = person.key.get(&challenge.options, Says::default());
    person.world.clock.advance(Duration::from_secs(300));
    let old = auth.sign_in_by_passkey(None, (&challenge.sealed, &answer), &Origin::default()).await;
    assert!(matches!(old, Err(PasskeyError::Ended)), "{old:?}");
    assert!(!person.world.rows::<UsedChallenge>().await.is_empty());
    auth.prune_challenges().await.unwrap();
    assert!(person.world.rows::<UsedChallenge>().await.is_empty());
}

#[tokio::test]
async fn a_copy_is_known_by_its_count_and_its_owner_is_told() {
    let mut person = person().await;
    person.sign_in(Says { counter: Some(7), ..Says::default() }).await.unwrap();
    for counter in [7, 3, 0] {
        let copy = person.sign_in(Says { counter: Some(counter), ..Says::default() }).await;
        assert!(matches!(copy, Err(PasskeyError::Copied)), "{counter}: {copy:?}");
    }
    assert!(person.did("passkey.copied").await);
    person.sign_in(Says { counter: Some(8), ..Says::default() }).await.unwrap();
    // Many authenticators don't count.
    let mut other = self::person().await;
    for _ in 0..2 {
        other.sign_in(Says { counter: Some(0), ..Says::default() }).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_signs_in_with_another_s_passkey_as_the_second_step() {
    let person = person().await;
    let world = &person.world;
    world.account("bob").await;
    let bob = world.signed_in("bob").await;
    let mut his = Authenticator::new(2);
    world.enrol(&bob, &mut his).await.unwrap();
    let half = person.half().await;
    let challenge = world.auth.ask_for_own_passkey(&half).await.unwrap().unwrap();
    let answer = his.get(&challenge.options, Says::default());
    let refused =
        world.auth.sign_in_by_passkey(Some(&half), (&challenge.sealed, &answer), &Origin::default()).await;
    assert!(matches!(refused, Err(PasskeyError::Unknown)), "{refused:?}");
    // Nor does anybody take over a passkey that is another's.
    let taken = world.enrol(&bob, &mut person.key.clone()).await;
    assert!(matches!(taken, Err(PasskeyError::Known)), "{taken:?}");
}

#[tokio::test]
async fn what_is_enrolled_was_asked_for_by_that_person_with_its_user_verified() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let auth = &world.auth;
    let challenge = auth.begin_passkey(&alice).await.unwrap().unwrap();
    assert!(challenge.options.contains("\"residentKey\":\"required\""), "{}", challenge.options);
    assert!(challenge.options.contains("\"userVerification\":\"required\""), "{}", challenge.options);
    let mut key = Authenticator::new(1);
    let answer = key.create(&challenge.options, Says::default());
    let as_bob = auth.add_passkey(&bob, &challenge.sealed, &answer, "").await;
    assert!(matches!(as_bob, Err(PasskeyError::Ended)), "{as_bob:?}");
    for says in [
        Says { origin: "https://evil.org", ..Says::default() },
        Says { party: "evil.org", ..Says::default() },
        Says { challenge: Some("AAAA"), ..Says::default() },
        Says { verified: false, ..Says::default() },
        Says { kind: Some("webauthn.get"), ..Says::default() },
    ] {
        let answer = key.create(&challenge.options, says);
        let refused = auth.add_passkey(&alice, &challenge.sealed, &answer, "").await;
        assert!(matches!(refused, Err(PasskeyError::Wrong)), "{refused:?}");
    }
    auth.add_passkey(&alice, &challenge.sealed, &answer, "").await.unwrap();
    let again = auth.add_passkey(&alice, &challenge.sealed, &answer, "").await;
    assert!(matches!(again, Err(PasskeyError::Known | PasskeyError::Ended)), "{again:?}");
    assert_eq!(world.rows::<BrowserSession>().await.len(), 2, "hers and bob's");
}

#[tokio::test]
async fn passkeys_are_renamed_and_removed_and_with_the_last_one_the_recovery_codes_go() {
    let mut person = person().await;
    let auth = Arc::clone(&person.world.auth);
    let mut second = Authenticator::new(3);
    let codes = person.world.enrol(&person.browser, &mut second).await.unwrap();
    assert!(codes.is_empty(), "those of before are good still");
    let handles: Vec<_> = person.world.rows::<Row>().await.into_iter().map(|row| row.user_handle).collect();
    assert_eq!(handles[0], handles[1], "both know the account by the same handle");
    let ids: Vec<_> = auth.passkeys(&person.browser).await.unwrap().into_iter().map(|key| key.id).collect();
    assert!(auth.rename_passkey(&person.browser, &ids[1], &"x".repeat(100)).await.unwrap());
    assert_eq!(auth.passkeys(&person.browser).await.unwrap()[1].name.len(), 64);
    assert!(!auth.rename_passkey(&person.browser, "other", "").await.unwrap());
    assert!(auth.remove_passkey(&person.browser, &ids[0]).await.unwrap());
    assert!(!auth.remove_passkey(&person.browser, &ids[0]).await.unwrap());
    let gone = person.sign_in(Says::default()).await;
    assert!(matches!(gone, Err(PasskeyError::Unknown)), "{gone:?}");
    assert_eq!(person.world.rows::<RecoveryCode>().await.len(), 10);
    // Lost: a recovery code gets in.
    auth.sign_in_by_code(&person.half().await, &person.codes[0], &Origin::default()).await.unwrap();
    auth.remove_passkey(&person.browser, &ids[1]).await.unwrap();
    assert!(person.world.rows::<RecoveryCode>().await.is_empty());
    person.world.try_login("alice", PASSWORD, NewSession::default()).await.unwrap();
}

#[tokio::test]
async fn the_last_passkey_of_who_has_nothing_else_to_sign_in_with_stays() {
    let person = person().await;
    let auth = Arc::clone(&person.world.auth);
    person.world.enrol(&person.browser, &mut Authenticator::new(3)).await.unwrap();
    // As who came by a provider that is offered no more.
    let mut batch = auth.batch("password");
    batch.delete::<Password>(&(person.browser.user_id.clone(),));
    auth.engine.commit(batch).await.unwrap();
    let ids: Vec<_> = auth.passkeys(&person.browser).await.unwrap().into_iter().map(|key| key.id).collect();
    assert!(auth.remove_passkey(&person.browser, &ids[0]).await.unwrap());
    let refused = auth.remove_passkey(&person.browser, &ids[1]).await;
    assert!(matches!(refused, Err(AccountError::LastWay)), "{refused:?}");
    assert_eq!(auth.passkeys(&person.browser).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_locked_account_s_passkey_does_not_open_it_and_an_operator_s_removal_takes_it() {
    let mut person = person().await;
    let user_id = person.browser.user_id.clone();
    let auth = Arc::clone(&person.world.auth);
    auth.lock(&Actor::Operator, &user_id).await.unwrap();
    let locked = person.sign_in(Says::default()).await;
    assert!(matches!(locked, Err(PasskeyError::Locked)), "{locked:?}");
    auth.unlock(&Actor::Operator, &user_id).await.unwrap();
    person.sign_in(Says::default()).await.unwrap();
    auth.remove_factors(&Actor::Operator, &user_id).await.unwrap();
    assert!(person.world.rows::<Row>().await.is_empty());
    let gone = person.sign_in(Says::default()).await;
    assert!(matches!(gone, Err(PasskeyError::Unknown)), "{gone:?}");
}

#[tokio::test]
async fn an_account_has_so_many_passkeys_and_a_server_without_a_name_or_tls_has_none() {
    let world = world();
    world.account("alice").await;
    let browser = world.signed_in("alice").await;
    for number in 0..16 {
        world.enrol(&browser, &mut Authenticator::new(number + 1)).await.unwrap();
    }
    let full = world.auth.begin_passkey(&browser).await;
    assert!(matches!(full, Err(PasskeyError::TooMany)), "{full:?}");
    for url in ["http://127.0.0.1:8008", "https://[::1]", "http://example.org", "nonsense"] {
        let world = world_with(|config| config.public_url = url.to_owned());
        assert!(!world.auth.offers_passkeys() && world.auth.ask_for_passkey().is_none(), "{url}");
    }
    let local = world_with(|config| config.public_url = "http://localhost:8008".to_owned());
    assert!(local.auth.offers_passkeys());
}
