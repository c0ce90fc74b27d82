//! Signing in in two steps: what is good once is good once, in races too, and nothing gets around the second step.

use std::sync::Arc;
use std::time::Duration;

use myelin_language::Language;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{AccountLanguage, Audit};
use myelin_store::schema::factors::{RecoveryCode, Totp};
use myelin_store::schema::oauth::BrowserSession;
use proptest::prelude::*;
use ruma::OwnedUserId;
use totp_rs::Builder;

use super::emails::{mailing, with_address};
use super::{PASSWORD, World, secret, user, world, world_with};
use crate::{
    Actor, Browser, Erase, HalfSignedIn, Identifier, LoginError, NewBrowser, NewSession, Origin,
    OtherSessions, SecondStepError, SignIn, Told, TotpError,
};

/// Somebody with an app and recovery codes.
struct Person {
    world: World,
    user_id: OwnedUserId,
    app: Vec<u8>,
    codes: Vec<String>,
    /// Where they enrolled.
    browser: Browser,
}

impl World {
    async fn password(&self) -> SignIn {
        self.auth
            .sign_in(&Identifier::User("alice".to_owned()), secret(PASSWORD), &Origin::default())
            .await
            .unwrap()
    }

    async fn whole(&self) -> Browser {
        let SignIn::Done(browser) = self.password().await else { panic!("half") };
        self.auth.browser(browser.cookie.expose()).await.unwrap().unwrap()
    }

    /// What an app shows `later` steps from now.
    fn shown(&self, app: &[u8], later: i64) -> String {
        let totp = Builder::new().with_secret(app.to_vec()).build().unwrap();
        totp.generate((self.auth.now() / 1_000 + later * 30) as u64).to_string()
    }

    fn step(&self) {
        self.clock.advance(Duration::from_secs(30));
    }
}

fn bytes(base32: &str) -> Vec<u8> {
    totp_rs::Secret::try_from_base32(base32).unwrap().as_bytes().to_vec()
}

async fn enrolled_in(world: World) -> Person {
    let user_id = world.account("alice").await;
    let browser = world.whole().await;
    let enrolment = world.auth.begin_totp(&browser).unwrap();
    assert!(world.rows::<Totp>().await.is_empty(), "nothing is stored before a code was shown");
    let app = bytes(&enrolment.provisioning.secret);
    let codes = world.auth.confirm_totp(&browser, &enrolment.sealed, &world.shown(&app, 0)).await.unwrap();
    let codes: Vec<_> = codes.into_iter().map(Secret::into_inner).collect();
    world.step();
    Person { world, user_id, app, codes, browser }
}

async fn enrolled() -> Person {
    enrolled_in(world_with(|config| config.limit_failures = false)).await
}

impl Person {
    async fn half(&self) -> HalfSignedIn {
        let SignIn::Half(half) = self.world.password().await else { panic!("no second step") };
        self.world.auth.half_signed_in(half.cookie.expose()).unwrap()
    }

    async fn second(&self, code: &str) -> Result<NewBrowser, SecondStepError> {
        self.world.auth.sign_in_by_code(&self.half().await, code, &Origin::default()).await
    }

    async fn actions(&self) -> Vec<(String, Option<String>)> {
        let all = self.world.rows::<Audit>().await;
        all.into_iter().map(|row| (row.action, row.detail)).collect()
    }
}

#[tokio::test]
async fn an_app_shows_what_people_call_the_server() {
    let world = world_with(|config| config.service_name = Some("Example: Chat".to_owned()));
    world.account("alice").await;
    let uri = world.auth.begin_totp(&world.whole().await).unwrap().provisioning.uri;
    assert!(uri.starts_with("otpauth://totp/Example%20%20Chat:alice?"), "{uri}");
}

#[tokio::test]
async fn the_password_alone_opens_nothing_and_a_code_is_good_once() {
    let person = enrolled().await;
    let world = &person.world;
    let legacy = world.try_login("alice", PASSWORD, NewSession::default()).await;
    assert!(matches!(legacy, Err(LoginError::SecondFactor)), "{legacy:?}");
    let wrong = world.try_login("alice", "wrong", NewSession::default()).await;
    assert!(matches!(wrong, Err(LoginError::Wrong)), "who does not know the password learns nothing");
    let code = world.shown(&person.app, 0);
    let browser = person.second(&code).await.unwrap();
    assert!(world.auth.browser(browser.cookie.expose()).await.unwrap().is_some());
    assert!(matches!(person.second(&code).await, Err(SecondStepError::Wrong)), "again");
    let before = world.shown(&person.app, -1);
    assert!(matches!(person.second(&before).await, Err(SecondStepError::Wrong)), "an older one");
    person.second(&world.shown(&person.app, 1)).await.unwrap();
    for wrong in ["", "000000", "nonsense", "aaaa-aaaa-aaaa-aaaa", &world.shown(&person.app, 3)] {
        assert!(matches!(person.second(wrong).await, Err(SecondStepError::Wrong)), "{wrong}");
    }
    let actions = person.actions().await;
    let told = |action: &str, detail: Option<&str>| {
        actions.iter().any(|(known, more)| known == action && more.as_deref() == detail)
    };
    assert!(told("totp.add", None) && told("second_factor.wrong", None));
    assert!(told("browser.sign_in", Some("password totp")));
}

#[tokio::test]
async fn the_store_has_neither_the_secret_nor_a_recovery_code() {
    let person = enrolled().await;
    let row = person.world.rows::<Totp>().await.remove(0);
    assert!(!row.secret.windows(person.app.len()).any(|part| part == person.app));
    assert_eq!(person.codes.len(), 10);
    let kept = format!("{:?}", person.world.rows::<RecoveryCode>().await);
    for code in &person.codes {
        assert!(!kept.contains(code) && !kept.contains(&code.replace('-', "")));
    }
}

#[tokio::test]
async fn a_recovery_code_gets_in_once_and_new_ones_end_the_others() {
    let person = enrolled().await;
    let world = &person.world;
    person.second(&person.codes[0].to_uppercase()).await.unwrap();
    assert!(matches!(person.second(&person.codes[0]).await, Err(SecondStepError::Wrong)), "again");
    assert_eq!(world.auth.second_factors(&person.browser).await.unwrap().recovery_codes, 9);
    let new = world.auth.make_recovery_codes(&person.browser).await.unwrap();
    assert!(matches!(person.second(&person.codes[1]).await, Err(SecondStepError::Wrong)), "of before");
    person.second(new[1].expose()).await.unwrap();
    let other = world.account("bob").await;
    assert_ne!(other, person.user_id);
    let stranger = HalfSignedIn { user_id: other, ..person.half().await };
    let as_other = world.auth.sign_in_by_code(&stranger, new[2].expose(), &Origin::default()).await;
    assert!(matches!(as_other, Err(SecondStepError::Ended)), "{as_other:?}");
}

#[tokio::test]
async fn of_two_who_bring_the_same_code_at_once_one_gets_in() {
    for kind in ["app", "recovery"] {
        let person = enrolled().await;
        let world = &person.world;
        let code = if kind == "app" { world.shown(&person.app, 0) } else { person.codes[3].clone() };
        let half = person.half().await;
        let (auth, other, same) = (Arc::clone(&world.auth), half.clone(), code.clone());
        world.engine.before_next_commit(async move {
            auth.sign_in_by_code(&other, &same, &Origin::default()).await.unwrap();
        });
        let late = world.auth.sign_in_by_code(&half, &code, &Origin::default()).await;
        assert!(matches!(late, Err(SecondStepError::Wrong)), "{kind}: {late:?}");
        // The one where it was enrolled, and the one that was quicker.
        assert_eq!(world.rows::<BrowserSession>().await.len(), 2, "{kind}");
    }
}

#[tokio::test]
async fn a_factor_that_is_added_while_somebody_signs_in_stands_in_their_way() {
    let world = world();
    world.account("alice").await;
    let browser = world.whole().await;
    let enrolment = world.auth.begin_totp(&browser).unwrap();
    let code = world.shown(&bytes(&enrolment.provisioning.secret), 0);
    let (auth, sealed) = (Arc::clone(&world.auth), enrolment.sealed.clone());
    world.engine.before_next_commit(async move {
        auth.confirm_totp(&browser, &sealed, &code).await.unwrap();
    });
    assert!(matches!(world.password().await, SignIn::Half(_)));
    assert_eq!(world.rows::<BrowserSession>().await.len(), 1);
}

#[tokio::test]
async fn who_was_signed_in_by_the_password_alone_is_signed_out_when_an_app_is_added() {
    let world = world();
    world.account("alice").await;
    let elsewhere = world.whole().await;
    let Person { world, browser, .. } = {
        let browser = world.whole().await;
        let enrolment = world.auth.begin_totp(&browser).unwrap();
        let app = bytes(&enrolment.provisioning.secret);
        world.auth.confirm_totp(&browser, &enrolment.sealed, &world.shown(&app, 0)).await.unwrap();
        Person { user_id: user("alice"), app, codes: Vec::new(), browser, world }
    };
    let left: Vec<_> = world.rows::<BrowserSession>().await.into_iter().map(|row| row.hash).collect();
    assert_eq!(left, [browser.hash]);
    assert_ne!(left, [elsewhere.hash]);
}

#[tokio::test]
async fn the_first_step_stands_for_ten_minutes_and_for_its_password() {
    let person = enrolled().await;
    let world = &person.world;
    let SignIn::Half(half) = world.password().await else { panic!("whole") };
    let cookie = half.cookie.expose();
    let known = world.auth.half_signed_in(cookie).unwrap();
    assert_eq!(known.user_id, person.user_id);
    let forged = format!("{}A", &cookie[..cookie.len() - 1]);
    for bad in ["", "x", &forged, &cookie[1..], &world.auth.begin_totp(&person.browser).unwrap().sealed] {
        assert!(bad == cookie || world.auth.half_signed_in(bad).is_none(), "{bad}");
    }
    let (actor, keep) = (Actor::Operator, OtherSessions::Keep);
    world.auth.set_password(&actor, &person.user_id, secret("another one"), keep, None).await.unwrap();
    let late = world.auth.sign_in_by_code(&known, &person.codes[0], &Origin::default()).await;
    assert!(matches!(late, Err(SecondStepError::Ended)), "{late:?}");
    assert_eq!(world.rows::<RecoveryCode>().await.len(), 10, "and the code is not used up");
    world.clock.advance(Duration::from_secs(600));
    assert!(world.auth.half_signed_in(cookie).is_none());
}

#[tokio::test]
async fn an_app_counts_once_it_has_shown_a_code_in_time_to_who_began() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let browser = world.whole().await;
    let enrolment = world.auth.begin_totp(&browser).unwrap();
    let app = bytes(&enrolment.provisioning.secret);
    let confirm = |browser: Browser, code: String| {
        let (auth, sealed) = (Arc::clone(&world.auth), enrolment.sealed.clone());
        async move { auth.confirm_totp(&browser, &sealed, &code).await }
    };
    let wrong = confirm(browser.clone(), "000000".to_owned()).await;
    assert!(matches!(wrong, Err(TotpError::Code)), "{wrong:?}");
    let other = Browser { user_id: user("bob"), ..browser.clone() };
    let other = confirm(other, world.shown(&app, 0)).await;
    assert!(matches!(other, Err(TotpError::Ended)), "somebody else's");
    assert!(matches!(world.password().await, SignIn::Done(_)));
    world.clock.advance(Duration::from_secs(1_800));
    let late = confirm(browser.clone(), world.shown(&app, 0)).await;
    assert!(matches!(late, Err(TotpError::Ended)), "too late");
    assert!(world.auth.resume_totp(&browser, &enrolment.sealed).is_none());
}

#[tokio::test]
async fn factors_go_when_they_are_removed_by_their_owner_an_operator_or_with_the_account() {
    let person = enrolled().await;
    let world = &person.world;
    world.auth.remove_totp(&person.browser).await.unwrap();
    assert!(matches!(world.password().await, SignIn::Done(_)));
    assert!(world.rows::<RecoveryCode>().await.is_empty(), "codes for nothing");

    let person = enrolled().await;
    let world = &person.world;
    world.auth.remove_factors(&Actor::Operator, &person.user_id).await.unwrap();
    assert!(world.rows::<Totp>().await.is_empty() && world.rows::<RecoveryCode>().await.is_empty());
    assert!(world.rows::<BrowserSession>().await.is_empty());
    assert!(world.try_login("alice", PASSWORD, NewSession::default()).await.is_ok());
    let by_operator = world.auth.audit_of(&person.user_id, 10).await.unwrap();
    assert!(
        by_operator
            .iter()
            .any(|entry| entry.told == Told::Act(crate::Act::FactorsRemove) && entry.actor == "operator")
    );

    let person = enrolled().await;
    person.world.auth.deactivate(&Actor::Operator, &person.user_id, Erase::No).await.unwrap();
    assert!(person.world.rows::<Totp>().await.is_empty());
    assert!(person.world.rows::<RecoveryCode>().await.is_empty());
}

#[tokio::test]
async fn wrong_codes_close_the_account_s_second_step_for_a_while_only() {
    let person = enrolled_in(world()).await;
    let world = &person.world;
    let half = person.half().await;
    for _ in 0..5 {
        let wrong = world.auth.sign_in_by_code(&half, "000000", &Origin::default()).await;
        assert!(matches!(wrong, Err(SecondStepError::Wrong)), "{wrong:?}");
    }
    let right = world.auth.sign_in_by_code(&half, &person.codes[0], &Origin::default()).await;
    let Err(SecondStepError::Limited(wait)) = right else { panic!("{right:?}") };
    assert!(wait > Duration::from_secs(200), "{wait:?}");
    world.clock.advance(wait);
    world.auth.sign_in_by_code(&half, &person.codes[0], &Origin::default()).await.unwrap();
}

#[tokio::test]
async fn whoever_has_an_address_is_told_by_mail_what_changed() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "alice@example.org").await;
    let browser = world.whole().await;
    let enrolment = world.auth.begin_totp(&browser).unwrap();
    let app = bytes(&enrolment.provisioning.secret);
    let codes = world.auth.confirm_totp(&browser, &enrolment.sealed, &world.shown(&app, 0)).await.unwrap();
    let mail = post.next().await;
    assert_eq!(mail.to.as_str(), "alice@example.org");
    let text = mail.written.text.expose();
    assert!(text.contains("authenticator app was added") && text.contains("@alice:example.org"), "{text}");
    assert!(!text.contains(codes[0].expose()));
    let SignIn::Half(half) = world.password().await else { panic!("whole") };
    let half = world.auth.half_signed_in(half.cookie.expose()).unwrap();
    world.auth.sign_in_by_code(&half, codes[0].expose(), &Origin::default()).await.unwrap();
    assert!(post.next().await.written.text.expose().contains("with one of your recovery codes"));
    world.auth.remove_totp(&browser).await.unwrap();
    assert!(post.next().await.written.text.expose().contains("was removed"));
}

#[tokio::test]
async fn what_changed_is_told_in_the_language_in_which_somebody_last_signed_in() {
    let (world, post) = mailing();
    with_address(&world, &post, "alice", "alice@example.org").await;
    let told = async || {
        // So that not too many mails go to one address.
        world.clock.advance(Duration::from_secs(600));
        world.auth.remove_factors(&Actor::Operator, &user("alice")).await.unwrap();
        post.next().await.written
    };
    assert_eq!(told().await.language.tag(), "en", "the operator's choice, for who never signed in on a page");
    for (signs_in, expected) in [(Some("de"), "de"), (None, "de"), (Some("fr"), "fr")] {
        let origin = Origin { language: signs_in.and_then(Language::of_tag), ..Origin::default() };
        let alice = Identifier::User("alice".to_owned());
        assert!(matches!(world.auth.sign_in(&alice, secret(PASSWORD), &origin).await, Ok(SignIn::Done(_))));
        assert_eq!(told().await.language.tag(), expected);
    }
    assert!(told().await.text.expose().contains("deuxièmes étapes"));
    world.auth.deactivate(&Actor::Operator, &user("alice"), Erase::No).await.unwrap();
    assert!(world.rows::<AccountLanguage>().await.is_empty());
}

/// What somebody, or a thief beside them, does.
#[derive(Clone, Debug)]
enum Act {
    /// Shows what the app shows so many steps from now.
    App(i64),
    /// Shows one of the newest recovery codes, or one of the set before.
    Recovery(usize, bool),
    /// Has new ones made.
    Make,
    /// Waits for so many seconds.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (-3_i64..4).prop_map(Act::App),
        3 => (0_usize..10, any::<bool>()).prop_map(|(number, new)| Act::Recovery(number, new)),
        1 => Just(Act::Make),
        2 => (0_u64..70).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Over the store: a step of the app gets in at most once and only in its time, never after a newer one; a recovery code
    /// of the newest set at most once, and none of an older set.
    #[test]
    fn whatever_is_shown_in_whatever_order_nothing_gets_in_twice(acts in proptest::collection::vec(act(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let person = enrolled().await;
            let world = &person.world;
            let now = || world.auth.now() / 30_000;
            let mut newest = now() - 1;
            let (mut codes, mut before) = (person.codes.clone(), vec!["0000-0000-0000-0000".to_owned(); 10]);
            for act in acts {
                match act {
                    Act::Wait(seconds) => world.clock.advance(Duration::from_secs(seconds)),
                    Act::Make => {
                        let new = world.auth.make_recovery_codes(&person.browser).await.unwrap();
                        before = std::mem::replace(&mut codes, new.into_iter().map(Secret::into_inner).collect());
                    }
                    Act::App(later) => {
                        let got_in = person.second(&world.shown(&person.app, later)).await.is_ok();
                        let step = now() + later;
                        prop_assert_eq!(got_in, later.abs() <= 1 && step > newest, "{} {}", step, newest);
                        if got_in { newest = step; }
                    }
                    Act::Recovery(number, new) => {
                        let set = if new { &mut codes } else { &mut before };
                        let code = set[number].clone();
                        let got_in = person.second(&code).await.is_ok();
                        prop_assert_eq!(got_in, new && !code.is_empty());
                        if got_in { set[number].clear(); }
                    }
                }
            }
            Ok(())
        })?;
    }
}
