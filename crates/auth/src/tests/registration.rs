use std::time::Duration;

use myelin_runtime::Clock;
use myelin_store::schema::auth::{Account, Device, RegistrationToken};

use super::{PASSWORD, secret, user, world, world_with};
use crate::{
    Actor, NameProblem, NewAccount, NewRegistrationToken, NewSession, PasswordProblem, RegisterError,
    RegistrationMode, SharedSecretError, SharedSecretRegistration, Stage, TokenCreateError,
};

fn wanted(name: &str) -> NewAccount {
    NewAccount { session: Some(NewSession::default()), ..NewAccount::new(user(name), secret(PASSWORD)) }
}

#[tokio::test]
async fn an_account_and_its_first_session_are_one_commit() {
    let world = world();
    let created = world.auth.create_account(&Actor::User(user("alice")), wanted("alice")).await.unwrap();
    let issued = created.session.unwrap();
    assert_eq!(world.requester(&issued).await.user_id, user("alice"));
    assert!(world.try_login("alice", PASSWORD, NewSession::default()).await.is_ok());
}

#[tokio::test]
async fn of_two_who_want_one_name_exactly_one_gets_it() {
    let world = world();
    for n in 0..20 {
        let name = format!("u{n}");
        let actor = Actor::User(user(&name));
        let (a, b) = tokio::join!(
            world.auth.create_account(&actor, wanted(&name)),
            world.auth.create_account(&actor, wanted(&name))
        );
        let (winner, loser) = if a.is_ok() { (a, b) } else { (b, a) };
        assert!(matches!(loser, Err(RegisterError::Taken)), "{loser:?}");
        assert!(world.works(&winner.unwrap().session.unwrap()).await);
    }
    assert_eq!(world.rows::<Account>().await.len(), 20);
    assert_eq!(world.rows::<Device>().await.len(), 20, "the loser left no session");
}

#[tokio::test]
async fn names_are_checked_before_anybody_authenticates() {
    let world = world();
    world.account("alice").await;
    assert_eq!(world.auth.available("Bob").await.unwrap(), user("bob"));
    assert!(matches!(world.auth.available("Alice").await, Err(RegisterError::Taken)));
    assert!(matches!(
        world.auth.available("b b").await,
        Err(RegisterError::Name(NameProblem::Character(' ')))
    ));
    assert!(world.auth.made_up_name().is_ok());
    let weak = NewAccount::new(user("bob"), secret("1234567"));
    let refused = world.auth.create_account(&Actor::User(user("bob")), weak).await;
    assert!(matches!(refused, Err(RegisterError::Password(PasswordProblem::Weak { least: 8 }))));
}

#[tokio::test]
async fn the_operator_says_how_long_a_password_is_at_least() {
    for (least, password, taken) in
        [(6, "hunter2", true), (8, "hunter2", false), (16, "correct horse", false)]
    {
        let world = world_with(|config| {
            config.min_password_chars = least;
            config.min_password_score = 0;
        });
        let new = NewAccount::new(user("bob"), secret(password));
        let made = world.auth.create_account(&Actor::User(user("bob")), new).await;
        assert_eq!(made.is_ok(), taken, "{least}");
        if let Err(error) = made {
            let weak = RegisterError::Password(PasswordProblem::Weak { least });
            assert_eq!(error.to_string(), weak.to_string());
        }
    }
}

#[tokio::test]
async fn flows_follow_the_operator_s_choice() {
    let flows = |mode| {
        let world = world_with(|config| config.registration = mode);
        world.auth.registration_flows().ok().map(|flows| flows.concat())
    };
    assert_eq!(flows(RegistrationMode::Closed), None);
    assert_eq!(flows(RegistrationMode::Token), Some(vec![Stage::RegistrationToken]));
    assert_eq!(flows(RegistrationMode::Open), Some(vec![Stage::Dummy]));
}

#[tokio::test]
async fn a_registration_token_makes_as_many_accounts_as_it_allows_even_at_once() {
    let world = world();
    let new =
        NewRegistrationToken { token: Some("let-me-in".into()), uses_allowed: Some(3), expires_at: None };
    world.auth.create_registration_token(&Actor::Operator, new).await.unwrap();
    let register = async |name: String| {
        let new = NewAccount { registration_token: Some("let-me-in".into()), ..wanted(&name) };
        world.auth.create_account(&Actor::User(user(&name)), new).await
    };
    let (a, b, c, d, e) = tokio::join!(
        register("a".into()),
        register("b".into()),
        register("c".into()),
        register("d".into()),
        register("e".into())
    );
    let results = [a, b, c, d, e];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(RegisterError::Token))));
    assert_eq!(world.rows::<RegistrationToken>().await[0].completed, 3);
    assert!(!world.auth.registration_token_valid("let-me-in").await.unwrap());
    assert_eq!(world.rows::<Account>().await.len(), 3);
}

#[tokio::test]
async fn a_registration_token_expires_and_can_be_deleted() {
    let world = world();
    let at = i64::try_from(world.clock.now()).unwrap() + 1_000;
    let new = |token: &str, expires_at| NewRegistrationToken {
        token: Some(token.to_owned()),
        uses_allowed: None,
        expires_at,
    };
    world.auth.create_registration_token(&Actor::Operator, new("brief", Some(at))).await.unwrap();
    world.auth.create_registration_token(&Actor::Operator, new("forever", None)).await.unwrap();
    assert!(world.auth.registration_token_valid("brief").await.unwrap());
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.auth.registration_token_valid("brief").await.unwrap());
    assert!(world.auth.registration_token_valid("forever").await.unwrap());
    assert!(world.auth.delete_registration_token(&Actor::Operator, "forever").await.unwrap());
    assert!(!world.auth.delete_registration_token(&Actor::Operator, "forever").await.unwrap(), "it is gone");
    assert!(!world.auth.registration_token_valid("forever").await.unwrap());
    let listed = world.auth.registration_tokens(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|info| info.token.as_str()).collect::<Vec<_>>(), ["brief"]);
    let late = NewAccount { registration_token: Some("brief".into()), ..wanted("alice") };
    let refused = world.auth.create_account(&Actor::User(user("alice")), late).await;
    assert!(matches!(refused, Err(RegisterError::Token)));
}

#[tokio::test]
async fn a_registration_token_of_no_use_is_not_made() {
    let world = world();
    let make = async |token: Option<&str>, uses_allowed, expires_at| {
        let new = NewRegistrationToken { token: token.map(str::to_owned), uses_allowed, expires_at };
        world.auth.create_registration_token(&Actor::Operator, new).await
    };
    assert!(matches!(make(Some(""), None, None).await, Err(TokenCreateError::Form)));
    assert!(matches!(make(Some("a b"), None, None).await, Err(TokenCreateError::Form)));
    assert!(matches!(make(Some(&"x".repeat(65)), None, None).await, Err(TokenCreateError::Form)));
    assert!(matches!(make(None, Some(0), None).await, Err(TokenCreateError::Useless)));
    assert!(matches!(make(None, None, Some(0)).await, Err(TokenCreateError::Useless)));
    assert_eq!(make(None, None, None).await.unwrap().token.len(), 16);
    make(Some("x"), None, None).await.unwrap();
    assert!(matches!(make(Some("x"), None, None).await, Err(TokenCreateError::Exists)));
}

#[tokio::test]
async fn the_shared_secret_registers_on_a_closed_server_and_each_nonce_once() {
    let world = world_with(|config| config.registration_shared_secret = Some(secret("s3cret")));
    let request = |nonce: String, name: &str, is_admin| {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"s3cret").unwrap();
        mac.update(
            format!("{nonce}\0{name}\0pw\0{}", if is_admin { "admin" } else { "notadmin" }).as_bytes(),
        );
        let mac = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        SharedSecretRegistration {
            nonce,
            name: name.to_owned(),
            password: secret("pw"),
            is_admin,
            user_type: None,
            mac,
            session: Some(NewSession::default()),
        }
    };
    let nonce = world.auth.registration_nonce().unwrap();
    let created = world.auth.register_by_secret(request(nonce.clone(), "Root", true)).await.unwrap();
    assert_eq!(created.user_id, user("root"));
    assert!(world.requester(&created.session.unwrap()).await.is_admin);
    let again = world.auth.register_by_secret(request(nonce, "other", false)).await;
    assert!(matches!(again, Err(SharedSecretError::Nonce)), "{again:?}");

    let nonce = world.auth.registration_nonce().unwrap();
    let forged = SharedSecretRegistration { is_admin: true, ..request(nonce, "mallory", false) };
    assert!(matches!(world.auth.register_by_secret(forged).await, Err(SharedSecretError::Mac)));
    let nonce = world.auth.registration_nonce().unwrap();
    let nul = world.auth.register_by_secret(request(nonce, "a\0b", false)).await;
    assert!(matches!(nul, Err(SharedSecretError::Nul)));
    let nonce = world.auth.registration_nonce().unwrap();
    let taken = world.auth.register_by_secret(request(nonce, "root", false)).await;
    assert!(matches!(taken, Err(SharedSecretError::Register(RegisterError::Taken))));
}

#[tokio::test]
async fn without_a_shared_secret_there_is_no_such_door() {
    let world = world();
    assert!(matches!(world.auth.registration_nonce(), Err(SharedSecretError::Off)));
}
