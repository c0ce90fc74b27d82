//! Passwords of a directory: whose guesses are counted for what, and what is asked of it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_runtime::Secret;
use myelin_store::Engine;
use myelin_store::schema::upstream::UpstreamLink;
use ruma::UserId;

use super::{PASSWORD, World, secret, user, world};
use crate::{
    AccountError, Act, Actor, Auth, DIRECTORY, Directory, DirectoryDown, DirectoryEntry, DirectoryRules,
    ExistingAccount, Identifier, LoginError, LookError, Looked, Newcomers, Origin, OtherSessions, SignIn,
    Told,
};

/// A directory that reads names as some do: spaces and capitals don't matter, nor what is not seen (RFC 4518).
#[derive(Default)]
struct Fake {
    passwords: HashMap<&'static str, &'static str>,
    /// Where it was asked whether a password fits.
    tried: Mutex<Vec<Option<String>>>,
    /// Who is not in it any more, by their ids.
    gone: Mutex<HashSet<String>>,
    is_down: AtomicBool,
}

impl Directory for Fake {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<DirectoryEntry>, DirectoryDown>> {
        let name: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        let entry = |name: String| DirectoryEntry {
            place: name.clone(),
            id: format!("id of {name}"),
            localpart: Some(name),
            display_name: None,
            email: None,
        };
        let found = self.passwords.contains_key(&*name).then(|| entry(name));
        Box::pin(async move { Ok(found) })
    }

    fn fits<'a>(
        &'a self,
        place: Option<&'a str>,
        password: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, DirectoryDown>> {
        assert!(!password.expose().is_empty(), "a bind without a password succeeds");
        self.tried.lock().unwrap().push(place.map(str::to_owned));
        let fits = place.is_some_and(|place| self.passwords[place] == password.expose());
        Box::pin(async move { Ok(fits) })
    }

    fn knows<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, DirectoryDown>> {
        let is_down = self.is_down.load(Ordering::Relaxed);
        let is_there = !self.gone.lock().unwrap().contains(id);
        Box::pin(
            async move { if is_down { Err(DirectoryDown("pulled out".to_owned())) } else { Ok(is_there) } },
        )
    }
}

struct Nobody;

impl Newcomers for Nobody {
    fn named<'a>(&'a self, _: &'a UserId, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

fn with_directory() -> (World, Arc<Fake>) {
    directory_locking(true)
}

fn directory_locking(lock_removed: bool) -> (World, Arc<Fake>) {
    let world = world();
    let passwords = [("bob", "builder"), ("carol", "carol's own")].into();
    let fake = Arc::new(Fake { passwords, ..Fake::default() });
    let World { auth, engine, clock, ends } = world;
    let Ok(auth) = Arc::try_unwrap(auth) else { panic!("it is held") };
    let auth: Auth = auth.with_directory(
        Arc::clone(&fake) as Arc<dyn Directory>,
        Arc::new(Nobody),
        DirectoryRules { existing: ExistingAccount::Apart, sign_up: true, lock_removed },
    );
    (World { auth: Arc::new(auth), engine, clock, ends }, fake)
}

fn from(n: u32) -> Origin {
    Origin::of(Some(IpAddr::from(Ipv4Addr::from_bits(0xC000_0200 + n))))
}

async fn sign_in(world: &World, name: &str, password: &str, origin: &Origin) -> Result<SignIn, LoginError> {
    world.auth.sign_in(&Identifier::User(name.to_owned()), secret(password), origin).await
}

#[tokio::test]
async fn however_a_name_is_spelled_its_guesses_are_counted_together() {
    let (world, fake) = with_directory();
    for n in 0..100 {
        // Soft hyphens, which nobody sees.
        let name = format!("b{}ob", "\u{ad}".repeat(n as usize));
        let refused = sign_in(&world, &name, "wrong", &from(n)).await;
        assert!(matches!(refused, Err(LoginError::Wrong)), "{n}");
    }
    fake.tried.lock().unwrap().clear();
    let refused = sign_in(&world, "bo\u{ad}b", "builder", &from(200)).await;
    assert!(matches!(refused, Err(LoginError::Wrong)), "the right one is not tried any more");
    assert_eq!(*fake.tried.lock().unwrap(), [None], "the directory is asked about nobody all the same");
    assert!(matches!(sign_in(&world, "carol", "carol's own", &from(200)).await, Ok(SignIn::Done(_))));
}

#[tokio::test]
async fn an_account_of_the_same_name_here_is_no_place_to_guess_from() {
    let (world, fake) = with_directory();
    world.account("bob").await;
    for n in 0..12 {
        // They are known where they signed in, each time anew; to their own account, that is.
        let SignIn::Done(browser) = sign_in(&world, "bob", PASSWORD, &from(1)).await.unwrap() else {
            panic!()
        };
        for _ in 0..9 {
            let origin = Origin { browser: Some(browser.known.0.clone()), ..from(1) };
            let refused = sign_in(&world, "bob", &format!("wrong {n}"), &origin).await;
            assert!(matches!(refused, Err(LoginError::Wrong)), "{n}");
        }
    }
    let tried = fake.tried.lock().unwrap().clone();
    assert_eq!(tried.iter().filter(|place| place.is_some()).count(), 100, "as many as strangers have");
}

#[tokio::test]
async fn somebody_of_the_directory_has_no_password_here_beside() {
    let (world, _) = with_directory();
    let SignIn::Done(browser) = sign_in(&world, "carol", "carol's own", &from(1)).await.unwrap() else {
        panic!()
    };
    let browser = world.auth.browser(browser.cookie.expose()).await.unwrap().unwrap();
    assert!(!world.auth.keeps_password(&user("carol")).await.unwrap());
    let refused =
        world.auth.change_own_password(&browser, secret("another of mine"), OtherSessions::Keep).await;
    assert!(matches!(refused, Err(AccountError::Elsewhere)), "{refused:?}");
    let dave = world.account("dave").await;
    assert!(world.auth.keeps_password(&dave).await.unwrap(), "who is not in it keeps theirs");
}

#[tokio::test]
async fn without_a_password_the_directory_is_not_asked() {
    let (world, fake) = with_directory();
    assert!(matches!(sign_in(&world, "carol", "", &from(1)).await, Err(LoginError::Wrong)));
    assert!(fake.tried.lock().unwrap().is_empty());
    assert!(matches!(sign_in(&world, "nobody", "x", &from(1)).await, Err(LoginError::Wrong)));
    assert_eq!(*fake.tried.lock().unwrap(), [None], "about nobody it is asked as about somebody");
}

const HOUR: Duration = Duration::from_secs(3600);

impl Fake {
    /// From now on these are not in it, and everybody else is.
    fn lacks(&self, names: &[&str]) {
        *self.gone.lock().unwrap() = names.iter().map(|name| format!("id of {name}")).collect();
    }
}

/// How many are found, missed and locked.
async fn look(world: &World) -> (usize, usize, usize) {
    let Looked { found, missed, locked } = world.auth.look_in_directory().await.unwrap();
    (found, missed, locked)
}

/// A directory of Bob and Carol, who have accounts.
async fn of_two(lock_removed: bool) -> (World, Arc<Fake>) {
    let (world, fake) = directory_locking(lock_removed);
    for (name, password) in [("bob", "builder"), ("carol", "carol's own")] {
        assert!(matches!(sign_in(&world, name, password, &from(1)).await, Ok(SignIn::Done(_))));
    }
    (world, fake)
}

#[tokio::test]
async fn who_is_missed_in_the_directory_twice_an_hour_apart_is_locked() {
    let (world, fake) = of_two(true).await;
    let SignIn::Done(bob) = sign_in(&world, "bob", "builder", &from(1)).await.unwrap() else { panic!() };
    assert_eq!(look(&world).await, (2, 0, 0));
    fake.lacks(&["bob"]);
    assert_eq!(look(&world).await, (1, 1, 0));
    world.clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(look(&world).await, (1, 1, 0), "not an hour yet");
    assert!(world.auth.browser(bob.cookie.expose()).await.unwrap().is_some());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(look(&world).await, (1, 1, 1));
    assert!(world.auth.browser(bob.cookie.expose()).await.unwrap().is_none(), "what he had open ended");
    let again = sign_in(&world, "bob", "builder", &from(1)).await;
    assert!(matches!(again, Err(LoginError::Locked)), "whatever the directory says of his password");
    assert!(matches!(sign_in(&world, "carol", "carol's own", &from(1)).await, Ok(SignIn::Done(_))));
    let audit = world.auth.audit_of(&user("bob"), 1).await.unwrap();
    assert_eq!((audit[0].actor.as_str(), &audit[0].told), ("directory", &Told::Act(Act::AccountLock)));
    assert_eq!(look(&world).await, (1, 0, 0), "who is locked is not looked for");
}

#[tokio::test]
async fn who_was_not_looked_for_meanwhile_is_missed_anew() {
    let (world, fake) = of_two(true).await;
    fake.lacks(&["bob"]);
    assert_eq!(look(&world).await, (1, 1, 0));
    world.auth.lock(&Actor::Operator, &user("bob")).await.unwrap();
    assert_eq!(look(&world).await, (1, 0, 0));
    world.auth.unlock(&Actor::Operator, &user("bob")).await.unwrap();
    world.clock.advance(HOUR);
    assert_eq!(look(&world).await, (1, 1, 0), "what was known of him before has ended");
    world.clock.advance(HOUR);
    assert_eq!(look(&world).await, (1, 1, 1));
}

#[tokio::test]
async fn nobody_is_locked_by_a_directory_that_is_down_empty_or_forgetful_for_a_moment() {
    let (world, fake) = of_two(true).await;
    fake.lacks(&["bob"]);
    assert_eq!(look(&world).await, (1, 1, 0));
    world.clock.advance(HOUR);
    fake.is_down.store(true, Ordering::Relaxed);
    assert!(matches!(world.auth.look_in_directory().await, Err(LookError::Down(_))));
    fake.is_down.store(false, Ordering::Relaxed);
    fake.lacks(&[]);
    assert_eq!(look(&world).await, (2, 0, 0), "he was there all the time");
    fake.lacks(&["bob", "carol"]);
    for _ in 0..3 {
        assert_eq!(look(&world).await, (0, 2, 0), "an empty one is set up wrongly");
        world.clock.advance(HOUR);
    }
    assert!(matches!(sign_in(&world, "bob", "builder", &from(1)).await, Ok(SignIn::Done(_))));
    let without = super::world();
    assert!(matches!(without.auth.look_in_directory().await, Err(LookError::Off)));
}

#[tokio::test]
async fn where_the_operator_does_not_want_it_who_is_gone_is_counted_and_not_locked() {
    let (world, fake) = of_two(false).await;
    fake.lacks(&["bob"]);
    for _ in 0..3 {
        assert_eq!(look(&world).await, (1, 1, 0));
        world.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn everybody_is_looked_for_however_many_there_are() {
    let (world, fake) = with_directory();
    for n in 0..120 {
        let name = format!("u{n}");
        let user_id = world.account(&name).await;
        let mut batch = world.auth.batch(user_id.as_str());
        let (provider, subject) = (DIRECTORY.to_owned(), format!("id of {name}"));
        batch.put(&UpstreamLink { provider, subject, user_id, name: None, linked_at: 0 });
        world.engine.commit(batch).await.unwrap();
    }
    fake.lacks(&["u7", "u119"]);
    assert_eq!(look(&world).await, (118, 2, 0));
    world.clock.advance(HOUR);
    assert_eq!(look(&world).await, (118, 2, 2));
}
