//! Passwords of a directory: whose guesses are counted for what, and what is asked of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use myelin_runtime::Secret;
use ruma::UserId;

use super::{PASSWORD, World, secret, user, world};
use crate::{
    AccountError, Auth, Directory, DirectoryDown, DirectoryEntry, ExistingAccount, Identifier, LoginError,
    Newcomers, Origin, OtherSessions, SignIn,
};

/// A directory that reads names as some do: spaces and capitals don't matter, nor what is not seen (RFC 4518).
#[derive(Default)]
struct Fake {
    passwords: HashMap<&'static str, &'static str>,
    /// Where it was asked whether a password fits.
    tried: Mutex<Vec<Option<String>>>,
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
}

struct Nobody;

impl Newcomers for Nobody {
    fn named<'a>(&'a self, _: &'a UserId, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

fn with_directory() -> (World, Arc<Fake>) {
    let world = world();
    let passwords = [("bob", "builder"), ("carol", "carol's own")].into();
    let fake = Arc::new(Fake { passwords, ..Fake::default() });
    let World { auth, engine, clock, ends } = world;
    let Ok(auth) = Arc::try_unwrap(auth) else { panic!("it is held") };
    let auth: Auth = auth.with_directory(
        Arc::clone(&fake) as Arc<dyn Directory>,
        Arc::new(Nobody),
        (ExistingAccount::Apart, true),
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
