//! Who guesses passwords is slowed down, and does not keep anybody out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use myelin_runtime::Secret;
use ruma::OwnedUserId;

use super::{PASSWORD, World, secret, world};
use crate::{Identifier, Login, LoginError, NewSession, Origin, SignIn};

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xC000_0200 + n).into()
}

fn from(n: u32) -> Origin {
    Origin::of(Some(address(n)))
}

impl World {
    async fn guess(&self, password: &str, origin: &Origin) -> Result<Secret<String>, LoginError> {
        let alice = Identifier::User("alice".to_owned());
        match self.auth.sign_in(&alice, secret(password), origin).await? {
            SignIn::Done(browser) => Ok(browser.known.0),
            SignIn::Half(_) => panic!("half"),
        }
    }

    async fn is_limited(&self, origin: &Origin) -> bool {
        match self.guess(PASSWORD, origin).await {
            Ok(_) => false,
            Err(LoginError::Limited(_)) => true,
            Err(other) => panic!("{other}"),
        }
    }

    /// Wrong passwords from many places, until strangers may guess no more.
    async fn besiege(&self) {
        for n in 0..100 {
            assert!(matches!(self.guess("wrong", &from(n)).await, Err(LoginError::Wrong)), "{n}");
        }
        assert!(self.is_limited(&from(200)).await);
    }

    async fn seen_at(&self, owner: &OwnedUserId, n: u32) {
        let issued = self.login("alice", "PHONE", crate::RefreshTokens::Unsupported).await;
        let requester = self.requester(&issued).await;
        assert_eq!(requester.user_id, *owner);
        self.auth.seen(&requester, Some(address(n)));
        self.auth.write_seen(crate::session::seen::Due::All).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_passwords_from_one_place_are_slowed_down_there_and_nowhere_else() {
    let world = world();
    world.account("alice").await;
    let mut waits = Vec::new();
    for _ in 0..14 {
        match world.guess("wrong", &from(1)).await {
            Err(LoginError::Wrong) => {}
            Err(LoginError::Limited(wait)) => {
                waits.push(wait.as_secs());
                world.clock.advance(wait + Duration::from_millis(1));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits, [30, 60], "each wait is longer");
    assert!(!world.is_limited(&from(2)).await);
}

#[tokio::test]
async fn who_guesses_from_everywhere_does_not_keep_the_owner_out_where_they_are_known() {
    let world = world();
    let alice = world.account("alice").await;
    world.seen_at(&alice, 150).await;
    let known = world.guess(PASSWORD, &from(151)).await.unwrap();
    world.besiege().await;
    assert!(!world.is_limited(&from(150)).await, "a device of theirs was seen there");
    let at_home = Origin { browser: Some(known.clone()), ..from(222) };
    assert!(!world.is_limited(&at_home).await, "they signed in in this browser before");
    let forged = Origin { browser: Some(secret("myelin_kb_x")), ..from(222) };
    assert!(world.is_limited(&forged).await);
    world.clock.advance(Duration::from_secs(31));
    assert!(!world.is_limited(&from(200)).await, "nor for long elsewhere");
}

#[tokio::test]
async fn what_a_browser_is_known_by_is_good_for_its_own_account_and_not_for_guessing() {
    let world = world();
    world.account("alice").await;
    world.account("bob").await;
    let login = Login {
        user: Identifier::User("bob".to_owned()),
        password: secret(PASSWORD),
        session: NewSession::default(),
        origin: Origin::default(),
    };
    world.auth.login(login).await.unwrap();
    let bob = Identifier::User("bob".to_owned());
    let signed_in = world.auth.sign_in(&bob, secret(PASSWORD), &Origin::default()).await.unwrap();
    let SignIn::Done(browser) = signed_in else { panic!("half") };
    let known = browser.known.0;
    world.besiege().await;
    assert!(world.is_limited(&Origin { browser: Some(known), ..from(201) }).await, "it is Bob's");
    world.clock.advance(Duration::from_secs(31));
    let own = world.guess(PASSWORD, &from(202)).await.unwrap();
    let own = Origin { browser: Some(own), ..from(203) };
    for _ in 0..10 {
        assert!(matches!(world.guess("wrong", &own).await, Err(LoginError::Wrong)));
    }
    assert!(world.is_limited(&own).await, "guesses count there, too");
}
