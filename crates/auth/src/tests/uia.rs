use std::time::Duration;

use myelin_model::Requester;

use super::{PASSWORD, World, secret, world, world_with};
use crate::{
    Attempt, Challenge, Credential, Identifier, NewRegistrationToken, Operation, Passed,
    RefreshTokens::Unsupported, Refusal, Stage, UiaError,
};

const DUMMY: &[&[Stage]] = &[&[Stage::Dummy]];
const BY_PASSWORD: &[&[Stage]] = &[&[Stage::Password]];
const TWO: &[&[Stage]] = &[&[Stage::RegistrationToken, Stage::Dummy], &[Stage::Password]];

fn operation<'a>(asks: Option<&'a Requester>, flows: &'a [&'a [Stage]]) -> Operation<'a> {
    Operation { name: "test", asks, parameters: b"", flows }
}

fn attempt(session: Option<&str>, credential: Credential) -> Option<Attempt> {
    Some(Attempt { session: session.map(str::to_owned), credential })
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: Identifier::User(user.to_owned()), password: secret(password) }
}

fn challenge(result: Result<Passed, UiaError>) -> Challenge {
    match result {
        Err(UiaError::Challenge(challenge)) => challenge,
        other => panic!("expected a challenge: {other:?}"),
    }
}

async fn begin(world: &World, operation: &Operation<'_>) -> String {
    let first = challenge(world.auth.interact(operation, None).await);
    assert_eq!((first.completed.len(), first.refusal), (0, None));
    first.session
}

#[tokio::test]
async fn nothing_goes_ahead_without_an_attempt_and_a_dummy_is_enough_where_offered() {
    let world = world();
    let operation = operation(None, DUMMY);
    let session = begin(&world, &operation).await;
    let passed = world.auth.interact(&operation, attempt(Some(&session), Credential::Dummy)).await;
    world.auth.finish(&passed.unwrap());
    let asked = attempt(Some(&session), Credential::Acknowledge);
    assert_eq!(challenge(world.auth.interact(&operation, asked).await).completed, []);
}

#[tokio::test]
async fn a_password_passes_only_for_its_own_user() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    let alice = world.requester(&issued).await;
    let operation = operation(Some(&alice), BY_PASSWORD);
    let session = begin(&world, &operation).await;
    let others = world.auth.interact(&operation, attempt(Some(&session), password("bob", PASSWORD))).await;
    assert!(matches!(others, Err(UiaError::OtherUser)), "{others:?}");
    for wrong in [password("alice", "wrong"), password("bob", "wrong"), password("nobody", PASSWORD)] {
        let refused = challenge(world.auth.interact(&operation, attempt(Some(&session), wrong)).await);
        assert_eq!((refused.session.as_str(), refused.refusal), (session.as_str(), Some(Refusal::Password)));
    }
    let right = attempt(Some(&session), password("@alice:example.org", PASSWORD));
    assert!(world.auth.interact(&operation, right).await.is_ok());
    let without = attempt(None, password("alice", PASSWORD));
    assert!(world.auth.interact(&operation, without).await.is_ok(), "a session is not needed for one stage");
}

#[tokio::test]
async fn guessing_in_interactive_authentication_is_limited_too() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    let alice = world.requester(&issued).await;
    let operation = operation(Some(&alice), BY_PASSWORD);
    let mut last = Ok(());
    for _ in 0..11 {
        last = match world.auth.interact(&operation, attempt(None, password("alice", "wrong"))).await {
            Err(UiaError::Limited(wait)) => Err(wait),
            _ => Ok(()),
        };
    }
    assert!(last.is_err());
}

#[tokio::test]
async fn stages_pass_in_order_and_are_not_asked_for_twice() {
    let world = world();
    let token = NewRegistrationToken { token: Some("t".into()), uses_allowed: Some(1), expires_at: None };
    world.auth.create_registration_token(&crate::Actor::Operator, token).await.unwrap();
    let operation = operation(None, TWO);
    let session = begin(&world, &operation).await;
    let show = |credential| world.auth.interact(&operation, attempt(Some(&session), credential));
    assert_eq!(challenge(show(Credential::Dummy).await).refusal, Some(Refusal::Stage));
    assert_eq!(challenge(show(Credential::Other).await).refusal, Some(Refusal::Stage));
    let wrong = challenge(show(Credential::RegistrationToken("x".into())).await);
    assert_eq!(wrong.refusal, Some(Refusal::RegistrationToken));
    let halfway = challenge(show(Credential::RegistrationToken("t".into())).await);
    assert_eq!((halfway.completed, halfway.refusal), (vec![Stage::RegistrationToken], None));
    let again = challenge(show(Credential::RegistrationToken("t".into())).await);
    assert_eq!((again.completed, again.refusal), (vec![Stage::RegistrationToken], None));

    assert!(!world.auth.registration_token_valid("t").await.unwrap(), "its one use is pending");
    assert_eq!(world.auth.registration_tokens(None, 1).await.unwrap()[0].pending, 1);
    let passed = show(Credential::Dummy).await.unwrap();
    assert_eq!(passed.registration_token.as_deref(), Some("t"));
    assert!(show(Credential::Acknowledge).await.is_ok(), "until it is finished it can be used again");
    world.auth.finish(&passed);
    assert!(world.auth.registration_token_valid("t").await.unwrap());
}

#[tokio::test]
async fn a_session_is_good_for_the_request_it_was_begun_for() {
    let world = world();
    world.account("alice").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    let alice = world.requester(&issued).await;
    let original = Operation { name: "delete", asks: Some(&alice), parameters: b"A", flows: BY_PASSWORD };
    let session = begin(&world, &original).await;
    let others = [
        Operation { name: "deactivate", ..original },
        Operation { parameters: b"B", ..original },
        Operation { asks: None, ..original },
    ];
    for other in others {
        let refused = world.auth.interact(&other, attempt(Some(&session), password("alice", PASSWORD))).await;
        assert!(matches!(refused, Err(UiaError::OtherRequest)), "{refused:?}");
    }
    let right = world.auth.interact(&original, attempt(Some(&session), password("alice", PASSWORD))).await;
    assert!(right.is_ok());
}

#[tokio::test]
async fn sessions_are_forgotten_after_an_hour_and_bounded_in_number() {
    let world = world_with(|_| {});
    let operation = operation(None, TWO);
    let first = begin(&world, &operation).await;
    world.clock.advance(Duration::from_secs(3600));
    let asked = attempt(Some(&first), Credential::Acknowledge);
    assert_ne!(challenge(world.auth.interact(&operation, asked).await).session, first);
    let second = begin(&world, &operation).await;
    for _ in 0..10_000 {
        begin(&world, &operation).await;
    }
    let asked = attempt(Some(&second), Credential::Acknowledge);
    assert_ne!(challenge(world.auth.interact(&operation, asked).await).session, second);
}
