//! Users with many rooms, made once a server and shared by the loads that need them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    homeserver::Homeserver,
    loads::Site,
    matrix::{Login, User},
    parallel,
};

/// How long filling an account may take in all; a server that would need longer is not asked to.
const PATIENCE: Duration = Duration::from_secs(180);
/// So many rooms are made to see how long all of them will take.
const SAMPLE: usize = 20;

/// A user of a server, and the rooms they are in.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) login: Login,
    pub(crate) rooms: Vec<String>,
}

/// The accounts of one contender.
#[derive(Default)]
pub(crate) struct Accounts {
    /// On the server that runs for all loads, by number of rooms.
    running: Mutex<BTreeMap<usize, Option<Account>>>,
    /// Each in a folder of its own, of a server that loads start and stop.
    stopped: Mutex<BTreeMap<usize, Option<Account>>>,
}

impl Accounts {
    /// A user of the running server with so many rooms; `None` where making them takes too long.
    pub(crate) fn running(&self, site: &Site<'_>, rooms: usize) -> Result<Option<Account>> {
        let mut accounts = lock(&self.running);
        if let Some(account) = accounts.get(&rooms) {
            return Ok(account.clone());
        }
        let account = fill(site.server, rooms)?;
        Ok(accounts.entry(rooms).or_insert(account).clone())
    }

    /// A user with so many rooms on a server that was stopped since; its folder is [`folder_of`]. `None` where making
    /// them takes too long.
    pub(crate) fn stopped(&self, site: &Site<'_>, rooms: usize) -> Result<Option<Account>> {
        let mut accounts = lock(&self.stopped);
        if let Some(account) = accounts.get(&rooms) {
            return Ok(account.clone());
        }
        let Some(program) = site.program else { bail!("the server runs elsewhere") };
        let server = Homeserver::start(program, &site.folder.join(folder_of(rooms)), None)?;
        let account = fill(&server, rooms)?;
        server.stop()?;
        Ok(accounts.entry(rooms).or_insert(account).clone())
    }
}

/// Where the server of a stopped account has its data, within the contender's folder.
pub(crate) fn folder_of(rooms: usize) -> String {
    format!("account-{rooms}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fill(server: &Homeserver, rooms: usize) -> Result<Option<Account>> {
    let login = server.user()?.login();
    let make = |number| parallel::map(number, |_| User::resume(&server.address, &login).create_room());
    let start = Instant::now();
    let mut made = make(SAMPLE.min(rooms))?;
    let all = start.elapsed().mul_f64(rooms as f64 / made.len().max(1) as f64);
    if all > PATIENCE {
        return Ok(None);
    }
    made.extend(make(rooms - made.len())?);
    Ok(Some(Account { login, rooms: made }))
}
