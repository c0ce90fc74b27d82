//! Wrong passwords: counted so that guessing is slow, and so that nobody is kept out of their account by who guesses.
//!
//! They are counted for an account by the place they come from, and each one after the first few makes that place wait longer.
//! Who guesses from many places at once meets a ceiling for the account; it does not hold where the account's own people
//! are: in a session, in a browser in which they have signed in before, on a network on which a device of theirs was seen.

mod delays;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use myelin_language::Language;
use myelin_runtime::{Quota, RateLimiter, Secret, neighbourhood};
use myelin_store::schema::auth::DeviceSeen;
use myelin_store::schema::oauth::KnownBrowser;
use myelin_store::{Reader, Scan};
use ruma::OwnedUserId;

use self::delays::Delays;
use crate::account::localpart::meant;
use crate::session::token::{self, Kind};
use crate::{Auth, StoreError};

/// At how many devices' networks one looks.
const DEVICES: usize = 64;
/// How many places of how many accounts are remembered.
const CAPACITY: usize = 16_384;

/// From where somebody shows a password.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Their address, as the listener saw it.
    pub address: Option<IpAddr>,
    /// What their browser shows to be known again ([`crate::NewBrowser::known`]).
    pub browser: Option<Secret<String>>,
    /// What it says of itself.
    pub user_agent: Option<String>,
    /// In which language they read the pages.
    pub language: Option<Language>,
    /// The session in which they are asked for it.
    pub(crate) session: Option<(OwnedUserId, i64)>,
}

impl Origin {
    /// From this address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        Self { address, ..Self::default() }
    }
}

/// What guesses are counted by, beside the account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Session(i64),
    Browser(Bytes),
    Network(Option<IpAddr>),
}

/// The counts.
#[derive(Debug)]
pub(crate) struct Guesses {
    of_place: Delays<(String, Place)>,
    of_strangers: RateLimiter<String>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        // From however many places: some three thousand a day, far below what guessing a password needs.
        let quota = Quota { per_second: 1.0 / 30.0, burst: 100.0 };
        Self { of_place: Delays::new(CAPACITY), of_strangers: RateLimiter::new(quota, CAPACITY) }
    }
}

/// How one attempt is counted.
pub(crate) struct Attempted {
    account: String,
    place: Place,
    is_known: bool,
}

impl Auth {
    /// Whether somebody may try a password for this name from there. The inner result says how long they wait.
    pub(crate) async fn may_guess(
        &self,
        name: &str,
        origin: &Origin,
    ) -> Result<Result<Attempted, Duration>, StoreError> {
        let user_id = meant(name, &self.config.server_name).pop();
        // However an account is named, its guesses are the same ones.
        let account = user_id.as_ref().map_or_else(|| name.to_owned(), ToString::to_string).to_lowercase();
        let (place, is_known) = self.place(user_id.as_ref(), origin).await?;
        let attempted = Attempted { account, place, is_known };
        Ok(self.may_try(&attempted).map(|()| attempted))
    }

    /// Whether an attempt may be made now, or how long it waits.
    pub(crate) fn may_try(&self, attempted: &Attempted) -> Result<(), Duration> {
        let Some(guesses) = &self.guesses else { return Ok(()) };
        let now = self.env.clock.elapsed();
        guesses.of_place.check(&attempted.key(), now)?;
        if attempted.is_known { Ok(()) } else { guesses.of_strangers.peek(&attempted.account, now) }
    }

    /// Counts how the attempt went.
    pub(crate) fn guessed(&self, attempted: &Attempted, is_right: bool) {
        let Some(guesses) = &self.guesses else { return };
        if is_right {
            return guesses.of_place.forget(&attempted.key());
        }
        let now = self.env.clock.elapsed();
        guesses.of_place.count(attempted.key(), now);
        if !attempted.is_known {
            // An empty bucket can't get emptier: the refusal says nothing new.
            let _ = guesses.of_strangers.take(&attempted.account, now);
        }
    }

    /// Where an attempt is counted, and whether the account's people are known there. For a name that nobody has the same is
    /// read.
    async fn place(
        &self,
        user_id: Option<&OwnedUserId>,
        origin: &Origin,
    ) -> Result<(Place, bool), StoreError> {
        let network = origin.address.map(neighbourhood);
        let Some(user_id) = user_id else { return Ok((Place::Network(network), false)) };
        if let Some((own, number)) = &origin.session
            && own == user_id
        {
            return Ok((Place::Session(*number), true));
        }
        let snapshot = self.engine.snapshot().await?;
        if let Some(shown) = origin.browser.as_ref().filter(|shown| Kind::Known.fits(shown.expose())) {
            let hash = Bytes::copy_from_slice(&token::hash(shown.expose()));
            let row = snapshot.get::<KnownBrowser>(&(hash.clone(),)).await?;
            if row.is_some_and(|row| row.user_id == *user_id && row.expires_at > self.now()) {
                return Ok((Place::Browser(hash), true));
            }
        }
        let seen = Scan::prefix::<DeviceSeen>((user_id.clone(),), DEVICES);
        let seen = snapshot.scan::<DeviceSeen>(seen).await?;
        let is_there = |row: &DeviceSeen| {
            let seen = row.ip.as_deref().and_then(|ip| ip.parse().ok());
            seen.map(neighbourhood).is_some_and(|seen| Some(seen) == network)
        };
        Ok((Place::Network(network), seen.iter().any(is_there)))
    }
}

impl Attempted {
    /// The same from the same place, counted for something else. Who is known there is known to it where it is `owner`'s.
    pub(crate) fn at(&self, account: String, owner: Option<&str>) -> Self {
        let is_known = self.is_known && owner.is_some_and(|owner| owner.to_lowercase() == self.account);
        Self { account, place: self.place.clone(), is_known }
    }

    fn key(&self) -> (String, Place) {
        (self.account.clone(), self.place.clone())
    }
}
