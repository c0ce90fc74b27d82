use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_language::Language;
use myelin_store::schema::auth::{EmailPurpose, EmailToken, EmailValidation, ThirdPartyId};

use super::{PASSWORD, World, secret, world_mailing};
use crate::{
    Act, Actor, Attempt, Credential, EmailCredentials, EmailError, EmailRequest, Erase, Identifier, Login,
    Mail, MailError, Mailer, NewSession, Operation, Origin, OtherSessions, Passed,
    RefreshTokens::Unsupported, Refusal, RegistrationMode, Stage, ThirdPartyError, Told, UiaError,
};

/// A mail server in the test's hands.
#[derive(Default)]
pub(super) struct Post {
    taken: Mutex<Vec<Mail>>,
    answers: Mutex<Vec<MailError>>,
    arrived: tokio::sync::Notify,
}

impl Mailer for Post {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            if let Some(error) = self.answers.lock().unwrap().pop() {
                self.arrived.notify_one();
                return Err(error);
            }
            self.taken.lock().unwrap().push(mail.clone());
            self.arrived.notify_one();
            Ok(())
        })
    }
}

impl Post {
    pub(super) async fn next(&self) -> Mail {
        loop {
            if let Some(mail) = self.taken.lock().unwrap().pop() {
                return mail;
            }
            self.arrived.notified().await;
        }
    }

    fn is_empty(&self) -> bool {
        self.taken.lock().unwrap().is_empty()
    }
}

fn token_of(mail: &Mail) -> String {
    let text = mail.written.text.expose();
    let (_, rest) = text.split_once("submit_token?token=").expect("the mail has a link");
    rest.split_whitespace().next().unwrap().to_owned()
}

fn wish(purpose: EmailPurpose, email: &str, attempt: i64) -> EmailRequest {
    EmailRequest {
        purpose,
        email: email.to_owned(),
        client_secret: "s3cret".to_owned(),
        send_attempt: attempt,
        next_link: None,
        language: None,
    }
}

fn credentials(sid: &str) -> EmailCredentials {
    EmailCredentials { sid: sid.to_owned(), client_secret: "s3cret".to_owned() }
}

pub(super) fn mailing() -> (World, Arc<Post>) {
    let post = Arc::new(Post::default());
    (world_mailing(Arc::clone(&post) as Arc<dyn Mailer>, |_| {}), post)
}

/// Has an address confirmed; answers with the session.
async fn confirmed(world: &World, post: &Post, purpose: EmailPurpose, email: &str) -> String {
    let sid = world.auth.request_email(wish(purpose, email, 1)).await.unwrap();
    let token = token_of(&post.next().await);
    assert!(world.auth.confirm_email(&token).await.unwrap().is_some());
    sid
}

pub(super) async fn with_address(world: &World, post: &Post, name: &str, email: &str) {
    world.account(name).await;
    let issued = world.login(name, "PHONE", Unsupported).await;
    let requester = world.requester(&issued).await;
    let sid = confirmed(world, post, EmailPurpose::Add, email).await;
    world.auth.add_email(&requester, &credentials(&sid)).await.unwrap();
}

#[tokio::test]
async fn a_session_is_one_for_an_address_and_a_secret_and_mails_only_for_a_higher_attempt() {
    let (world, post) = mailing();
    let ask = |attempt| world.auth.request_email(wish(EmailPurpose::Add, "Alice@Example.org", attempt));
    let sid = ask(1).await.unwrap();
    let first = post.next().await;
    assert_eq!(first.to.as_str(), "alice@example.org");
    assert_eq!(ask(1).await.unwrap(), sid);
    assert_eq!(ask(2).await.unwrap(), sid);
    let second = post.next().await;
    assert!(post.is_empty(), "the same attempt sends nothing");
    assert_ne!(token_of(&first), token_of(&second));
    let other =
        EmailRequest { client_secret: "other".to_owned(), ..wish(EmailPurpose::Add, "alice@example.org", 1) };
    assert_ne!(world.auth.request_email(other).await.unwrap(), sid);
    assert_ne!(
        world.auth.request_email(wish(EmailPurpose::Reset, "alice@example.org", 1)).await.unwrap(),
        sid
    );
    assert!(
        world.auth.confirm_email(&token_of(&first)).await.unwrap().is_some(),
        "an earlier mail is good too"
    );
}

#[tokio::test]
async fn the_store_knows_neither_tokens_nor_secrets_and_forgets_what_expired() {
    let (world, post) = mailing();
    let sid = world.auth.request_email(wish(EmailPurpose::Add, "alice@example.org", 1)).await.unwrap();
    let token = token_of(&post.next().await);
    let shown = format!("{:?}{:?}", world.rows::<EmailValidation>().await, world.rows::<EmailToken>().await);
    assert!(shown.contains(&sid) && !shown.contains("s3cret") && !shown.contains(&token));
    world.clock.advance(Duration::from_secs(3600));
    assert!(world.auth.email_to_confirm(&token).await.unwrap().is_none());
    assert!(world.auth.confirm_email(&token).await.unwrap().is_none(), "the link is good for an hour");
    world.auth.prune_emails().await.unwrap();
    assert!(world.rows::<EmailValidation>().await.is_empty() && world.rows::<EmailToken>().await.is_empty());
}

#[tokio::test]
async fn looking_at_the_link_confirms_nothing() {
    let (world, post) = mailing();
    world.account("alice").await;
    let alice = world.requester(&world.login("alice", "PHONE", Unsupported).await).await;
    let sid = world.auth.request_email(wish(EmailPurpose::Add, "alice@example.org", 1)).await.unwrap();
    let token = token_of(&post.next().await);
    let found = world.auth.email_to_confirm(&token).await.unwrap().unwrap();
    assert_eq!((found.address.as_str(), found.purpose), ("alice@example.org", EmailPurpose::Add));
    let early = world.auth.add_email(&alice, &credentials(&sid)).await;
    assert!(matches!(early, Err(ThirdPartyError::NotValidated)), "{early:?}");
    world.auth.confirm_email(&token).await.unwrap().unwrap();
    let stranger = EmailCredentials { client_secret: "guess".to_owned(), ..credentials(&sid) };
    let refused = world.auth.add_email(&alice, &stranger).await;
    assert!(matches!(refused, Err(ThirdPartyError::NotValidated)), "the secret is part of it: {refused:?}");
    world.auth.add_email(&alice, &credentials(&sid)).await.unwrap();
    let again = world.auth.add_email(&alice, &credentials(&sid)).await;
    assert!(matches!(again, Err(ThirdPartyError::NotValidated)), "a session is used once: {again:?}");
    assert!(world.auth.confirm_email(&token).await.unwrap().is_none(), "and its link with it");
    let held = world.auth.third_party_ids(&alice).await.unwrap();
    assert_eq!((held.len(), held[0].address.as_str()), (1, "alice@example.org"));
    let audit = world.auth.audit_of(&alice.user_id, 1).await.unwrap();
    assert_eq!(audit[0].told, Told::Act(Act::AddressAdd));
}

#[tokio::test]
async fn an_address_belongs_to_one_account_until_it_is_removed_or_the_account_deactivated() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "shared@example.org").await;
    let bob = {
        world.account("bob").await;
        world.requester(&world.login("bob", "PHONE", Unsupported).await).await
    };
    world.auth.request_email(wish(EmailPurpose::Add, "Shared@example.org", 5)).await.unwrap();
    let told = post.next().await;
    assert!(
        !told.written.text.expose().contains("submit_token")
            && told.written.text.expose().contains("@alice:example.org")
    );

    let alice = world.requester(&world.login("alice", "PHONE", Unsupported).await).await;
    let as_bob = world.auth.delete_third_party_id(&bob, "email", "shared@example.org").await;
    assert!(as_bob.is_ok() && world.auth.third_party_ids(&alice).await.unwrap().len() == 1);
    world.auth.delete_third_party_id(&alice, "email", "SHARED@example.org").await.unwrap();
    assert!(world.auth.third_party_ids(&alice).await.unwrap().is_empty());

    world.clock.advance(Duration::from_secs(3600));
    let sid = confirmed(&world, &post, EmailPurpose::Add, "shared@example.org").await;
    world.auth.add_email(&bob, &credentials(&sid)).await.unwrap();
    world.auth.deactivate(&Actor::Operator, &bob.user_id, Erase::No).await.unwrap();
    assert!(world.rows::<ThirdPartyId>().await.is_empty());
}

#[tokio::test]
async fn of_two_accounts_that_confirmed_one_address_the_first_has_it() {
    let (world, post) = mailing();
    world.account("alice").await;
    world.account("bob").await;
    let alice = world.requester(&world.login("alice", "PHONE", Unsupported).await).await;
    let bob = world.requester(&world.login("bob", "PHONE", Unsupported).await).await;
    let first = confirmed(&world, &post, EmailPurpose::Add, "a@example.org").await;
    let other =
        EmailRequest { client_secret: "other".to_owned(), ..wish(EmailPurpose::Add, "a@example.org", 1) };
    let second = world.auth.request_email(other).await.unwrap();
    world.auth.confirm_email(&token_of(&post.next().await)).await.unwrap().unwrap();
    world.auth.add_email(&alice, &credentials(&first)).await.unwrap();
    let late = EmailCredentials { sid: second, client_secret: "other".to_owned() };
    assert!(matches!(world.auth.add_email(&bob, &late).await, Err(ThirdPartyError::InUse)));
}

const RESET: &[&[Stage]] = &[&[Stage::Email(EmailPurpose::Reset)]];

async fn show(world: &World, sid: &str) -> Result<Passed, UiaError> {
    let operation = Operation { name: "account.password", asks: None, parameters: b"", flows: RESET };
    let attempt = Attempt { session: None, credential: Credential::Email(credentials(sid)) };
    world.auth.interact(&operation, Some(attempt)).await
}

fn is_refused(result: &Result<Passed, UiaError>) -> bool {
    matches!(result, Err(UiaError::Challenge(challenge)) if challenge.refusal == Some(Refusal::Email))
}

#[tokio::test]
async fn a_confirmed_address_gives_its_account_a_new_password_once_and_ends_its_sessions() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "alice@example.org").await;
    let issued = world.login("alice", "PHONE", Unsupported).await;
    let sid = world.auth.request_email(wish(EmailPurpose::Reset, "Alice@example.org", 1)).await.unwrap();
    assert!(is_refused(&show(&world, &sid).await), "not before it is confirmed");
    let mail = post.next().await;
    assert!(mail.written.text.expose().contains("@alice:example.org"));
    world.auth.confirm_email(&token_of(&mail)).await.unwrap().unwrap();
    let passed = show(&world, &sid).await.unwrap();
    let email = passed.email.clone().unwrap();
    world.auth.reset_password_by_email(&email, secret("battery staple"), OtherSessions::End).await.unwrap();
    assert!(!world.works(&issued).await);
    assert!(world.try_login("alice", PASSWORD, NewSession::default()).await.is_err());
    assert!(world.try_login("alice", "battery staple", NewSession::default()).await.is_ok());
    assert!(is_refused(&show(&world, &sid).await), "the session is used up");
    let again =
        world.auth.reset_password_by_email(&email, secret("third password"), OtherSessions::End).await;
    assert!(again.is_err(), "also for who has passed already");
}

#[tokio::test]
async fn an_address_confirmed_for_one_thing_is_no_good_for_another() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "alice@example.org").await;
    let sid = confirmed(&world, &post, EmailPurpose::Reset, "alice@example.org").await;
    let alice = world.requester(&world.login("alice", "PHONE", Unsupported).await).await;
    let refused = world.auth.add_email(&alice, &credentials(&sid)).await;
    assert!(matches!(refused, Err(ThirdPartyError::NotValidated)), "{refused:?}");
    let added = confirmed(&world, &post, EmailPurpose::Add, "second@example.org").await;
    assert!(is_refused(&show(&world, &added).await));
}

#[tokio::test]
async fn a_stranger_s_address_gets_no_mail_for_a_password_and_looks_the_same() {
    let (world, post) = mailing();
    let sid = world.auth.request_email(wish(EmailPurpose::Reset, "nobody@example.org", 1)).await.unwrap();
    assert_eq!(
        world.auth.request_email(wish(EmailPurpose::Reset, "nobody@example.org", 1)).await.unwrap(),
        sid
    );
    assert_eq!(world.rows::<EmailValidation>().await.len(), 1, "as much is written as for a known one");
    assert!(is_refused(&show(&world, &sid).await));
    tokio::task::yield_now().await;
    assert!(post.is_empty());
}

#[tokio::test]
async fn one_logs_in_by_a_confirmed_address_and_guesses_count_for_its_account() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "alice@example.org").await;
    let log_in = |address: &str, password: &str| {
        let user = Identifier::Email(address.to_owned());
        world.auth.login(Login {
            user,
            password: secret(password),
            session: NewSession::default(),
            origin: Origin::default(),
        })
    };
    assert!(log_in("ALICE@example.org", PASSWORD).await.is_ok());
    for unknown in ["bob@example.org", "nonsense", "alice", "@alice:example.org"] {
        assert!(log_in(unknown, PASSWORD).await.is_err(), "{unknown}");
    }
    for n in 0..10 {
        let names = ["alice", "Alice", "@alice:example.org"];
        assert!(world.try_login(names[n % 3], "wrong", NewSession::default()).await.is_err());
    }
    let limited = log_in("alice@example.org", PASSWORD).await;
    assert!(matches!(limited, Err(crate::LoginError::Limited(_))), "{limited:?}");
}

#[tokio::test]
async fn what_is_asked_for_must_make_sense() {
    let (world, _post) = mailing();
    let ask = |change: fn(&mut EmailRequest)| {
        let mut request = wish(EmailPurpose::Add, "alice@example.org", 1);
        change(&mut request);
        world.auth.request_email(request)
    };
    assert!(matches!(ask(|r| r.email = "alice".to_owned()).await, Err(EmailError::Address)));
    assert!(matches!(ask(|r| r.client_secret = "a b".to_owned()).await, Err(EmailError::Secret)));
    assert!(matches!(ask(|r| r.client_secret = String::new()).await, Err(EmailError::Secret)));
    for link in ["javascript:alert(1)", "/relative", "https://user@example.org/", "file:///etc/passwd"] {
        let mut request = wish(EmailPurpose::Add, "alice@example.org", 1);
        request.next_link = Some(link.to_owned());
        assert!(matches!(world.auth.request_email(request).await, Err(EmailError::NextLink)), "{link}");
    }
    let post = Arc::new(Post::default());
    let strict = world_mailing(post, |config| {
        config.email.next_link_domains = vec!["app.example.org".to_owned()];
    });
    let linked = |link: &str| {
        let mut request = wish(EmailPurpose::Add, "alice@example.org", 1);
        request.next_link = Some(link.to_owned());
        strict.auth.request_email(request)
    };
    assert!(linked("https://app.example.org/#/done").await.is_ok());
    assert!(matches!(linked("https://evil.example/").await, Err(EmailError::NextLink)));
}

#[tokio::test]
async fn a_mail_is_in_the_language_of_who_asks_or_the_operator_s() {
    let post = Arc::new(Post::default());
    let world = world_mailing(Arc::clone(&post) as Arc<dyn Mailer>, |config| {
        config.language = Language::of_tag("fr").unwrap();
    });
    for (attempt, asks, expected) in [(1, Some("de"), "de"), (2, None, "fr"), (3, Some("en"), "en")] {
        let mut request = wish(EmailPurpose::Add, "alice@example.org", attempt);
        request.language = asks.and_then(Language::of_tag);
        world.auth.request_email(request).await.unwrap();
        assert_eq!(post.next().await.written.language.tag(), expected);
    }
}

#[tokio::test]
async fn a_mailbox_is_not_filled() {
    let (world, _post) = mailing();
    for attempt in 1..=5 {
        world.auth.request_email(wish(EmailPurpose::Add, "alice@example.org", attempt)).await.unwrap();
    }
    let sixth = world.auth.request_email(wish(EmailPurpose::Add, "alice@example.org", 6)).await;
    assert!(matches!(sixth, Err(EmailError::Limited(_))), "{sixth:?}");
    assert!(world.auth.request_email(wish(EmailPurpose::Add, "bob@example.org", 1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_the_mail_server_can_t_take_now_is_tried_again_and_one_it_refuses_is_not() {
    let (world, post) = mailing();
    let busy = || MailError::Unreachable("busy".to_owned());
    *post.answers.lock().unwrap() = vec![busy(), busy()];
    world.auth.request_email(wish(EmailPurpose::Add, "alice@example.org", 1)).await.unwrap();
    assert_eq!(post.next().await.to.as_str(), "alice@example.org");
    *post.answers.lock().unwrap() = vec![MailError::Refused("no such mailbox".to_owned())];
    world.auth.request_email(wish(EmailPurpose::Add, "bob@example.org", 1)).await.unwrap();
    post.arrived.notified().await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(post.is_empty());
}

#[tokio::test]
async fn registration_offers_an_address_where_mail_is_sent_and_demands_it_where_told() {
    const EMAIL: Stage = Stage::Email(EmailPurpose::Register);
    let flows = |mode, required| {
        let world = world_mailing(Arc::new(Post::default()), |config| {
            config.registration = mode;
            config.email.required_to_register = required;
        });
        world.auth.registration_flows().unwrap()
    };
    assert_eq!(flows(RegistrationMode::Open, false), [&[Stage::Dummy][..], &[EMAIL]]);
    assert_eq!(flows(RegistrationMode::Open, true), [&[EMAIL][..]]);
    assert_eq!(flows(RegistrationMode::Token, true), [&[Stage::RegistrationToken, EMAIL][..]]);
    let optional = [&[Stage::RegistrationToken][..], &[EMAIL, Stage::RegistrationToken]];
    assert_eq!(flows(RegistrationMode::Token, false), optional);
}
