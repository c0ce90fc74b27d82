//! Who is gone from the directory: their account is locked, so that what they have open is of no use to them any more.
//!
//! It takes two looks, an hour apart, at which the directory said for certain that they are not in it, or not one of its people
//! by the filter. A directory that can't be asked says nothing; one that does not know more of them than it knows is taken for
//! one that was set up wrongly, and nobody is locked. Who comes back is unlocked by an operator.

use std::collections::HashMap;
use std::time::Duration;

use myelin_store::schema::auth::Account;
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Reader, Scan};
use ruma::OwnedUserId;
use tokio::sync::Mutex;

use super::{DIRECTORY, Directories, DirectoryDown};
use crate::{AccountError, Actor, Auth, StoreError};

/// How long after the first look that misses somebody the one is at the earliest that locks them.
const APART: Duration = Duration::from_secs(3600);
/// How often everybody is looked for, and how much later at most, in milliseconds: several servers don't ask at once.
const EVERY: Duration = Duration::from_secs(3600);
const JITTER: u32 = 600_000;
/// How long it is from one question to the next.
const PACE: Duration = Duration::from_millis(100);
/// How many accounts are read at once.
const PAGE: usize = 100;
/// How many missed ones are remembered; more than that wait.
const MOST: usize = 10_000;

/// Since when somebody is missed, by their id in the directory. Who holds it looks.
pub(super) type Missed = Mutex<HashMap<String, Duration>>;

/// What a look at the directory found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// How many accounts' people are in it.
    pub found: usize,
    /// Of how many, whose accounts were open to them, it says that they are not.
    pub missed: usize,
    /// How many accounts were locked for that.
    pub locked: usize,
}

/// Why nobody knows who is gone.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no directory.
    #[error("no directory is set up")]
    Off,
    /// It can't be asked.
    #[error("the directory can't be asked: {0}")]
    Down(#[from] DirectoryDown),
    /// An account could not be locked.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Auth {
    /// Looks for everybody from time to time, for as long as the server runs.
    pub(crate) async fn watch_directory(&self) {
        loop {
            let later = Duration::from_millis(self.env.random.below(JITTER).into());
            tokio::select! {
                () = tokio::time::sleep(EVERY + later) => {}
                () = self.env.tasks.stopping() => return,
            }
            match self.look(PACE).await {
                // That it is down is logged already.
                Ok(_) | Err(LookError::Down(_) | LookError::Store(StoreError::Stopping)) => {}
                Err(error) => tracing::warn!(%error, "nobody could look who is gone from the directory"),
            }
        }
    }

    /// Whether the accounts of who is gone from the directory are locked.
    pub(crate) fn watches_directory(&self) -> bool {
        self.directory.as_ref().is_some_and(|directories| directories.rules.lock_removed)
    }

    /// Looks in the directory for everybody who has an account by it, and locks the accounts of who is gone, where the operator
    /// wants that.
    ///
    /// # Errors
    /// Why nobody knows.
    pub async fn look_in_directory(&self) -> Result<Looked, LookError> {
        self.look(Duration::ZERO).await
    }

    async fn look(&self, pace: Duration) -> Result<Looked, LookError> {
        let directories = self.directory.as_ref().ok_or(LookError::Off)?;
        let mut missed = directories.missed.lock().await;
        let (mut looked, mut due, mut after) = (Looked::default(), Vec::new(), None);
        // What is known of those who are not looked for any more, since their accounts were closed otherwise, ends here.
        let mut missed_still = HashMap::new();
        while let Some(people) = self.people_after(&mut after).await? {
            for (subject, user_id) in people {
                tokio::select! {
                    () = tokio::time::sleep(pace) => {}
                    () = self.env.tasks.stopping() => return Err(StoreError::Stopping.into()),
                }
                if directories.heard(directories.directory.knows(&subject).await)? {
                    looked.found += 1;
                    missed.remove(&subject);
                    continue;
                }
                looked.missed += 1;
                let now = self.env.clock.elapsed();
                let since = missed.get(&subject).copied().unwrap_or(now);
                if now.saturating_sub(since) >= APART {
                    due.push((subject.clone(), user_id));
                }
                if missed_still.len() < MOST {
                    missed_still.insert(subject, since);
                }
            }
        }
        *missed = missed_still;
        if may_lock(directories, looked) {
            for (subject, user_id) in due {
                self.lock(&Actor::Directory, &user_id).await?;
                missed.remove(&subject);
                looked.locked += 1;
                tracing::info!(%user_id, "gone from the directory: the account is locked");
            }
        }
        Ok(looked)
    }

    /// The next people of the directory whose accounts are open to them: by what they are known there, and here. Nothing at the
    /// end.
    async fn people_after(
        &self,
        after: &mut Option<String>,
    ) -> Result<Option<Vec<(String, OwnedUserId)>>, StoreError> {
        let scan = Scan::prefix::<UpstreamLink>((DIRECTORY.to_owned(),), PAGE);
        let scan = match after.take() {
            Some(subject) => scan.after((subject,)),
            None => scan,
        };
        let snapshot = self.engine.snapshot().await?;
        let links = snapshot.scan::<UpstreamLink>(scan).await?;
        let Some(last) = links.last() else { return Ok(None) };
        *after = Some(last.subject.clone());
        let keys: Vec<_> = links.iter().map(|link| (link.user_id.clone(),)).collect();
        let accounts = snapshot.get_all::<Account>(&keys).await?;
        let is_open = |account: Account| account.locked_at.is_none() && account.deactivated_at.is_none();
        let people = links.into_iter().zip(accounts);
        let people = people.filter_map(|(link, account)| account.is_some_and(is_open).then_some(link));
        Ok(Some(people.map(|link| (link.subject, link.user_id)).collect()))
    }
}

/// Whether what a look found is reason enough to lock anybody.
fn may_lock(directories: &Directories, looked: Looked) -> bool {
    let Looked { found, missed, .. } = looked;
    let is_credible = missed <= found;
    if !is_credible {
        tracing::warn!(
            found,
            missed,
            "the directory does not know more of those who have an account by it than it knows: nobody is locked; look at \
             ldap.base_dn, ldap.filter and ldap.id_attribute"
        );
    }
    is_credible && directories.rules.lock_removed
}
