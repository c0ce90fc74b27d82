//! The user directory (client-server API, "User Directory").
//!
//! An index of words leads to users; each of them is then looked at: whether the searcher may know of them, and whether
//! the name that the searcher may know fits. So the index may be behind the truth, and no name is found that a user has
//! only in rooms the searcher is not in: users of this server are found by their profile, others by what they show in
//! rooms that the searcher shares or that are public.

mod index;
mod sight;
mod terms;

use std::collections::HashSet;

use myelin_model::Requester;
use myelin_store::schema::auth::Account;
use myelin_store::schema::users::DirectoryTerm;
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, UserId};

pub(crate) use self::index::renamed;
use self::sight::{Seen, Sight};
use self::terms::{Rank, Wanted};
use crate::Users;

/// The most users that one search answers with.
pub const MAX_FOUND: usize = 50;

/// The longest text to search for, in bytes.
pub const MAX_SEARCH_TERM: usize = 512;

/// How many users are looked at in one round trip.
const AT_ONCE: usize = 128;

/// How many are looked at in all. A search that fits more is too short to find anybody by.
const MOST_LOOKED_AT: usize = 2_048;

/// Why nothing was searched for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The text is longer than [`MAX_SEARCH_TERM`].
    #[error("a search term has at most {MAX_SEARCH_TERM} bytes")]
    TooLong,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A user who was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who it is.
    pub user_id: OwnedUserId,
    /// Their name, as the searcher may know it.
    pub display_name: Option<String>,
    /// Their picture, likewise.
    pub avatar_url: Option<String>,
}

/// Who was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchResults {
    /// The best first.
    pub results: Vec<Found>,
    /// There may be more.
    pub limited: bool,
}

impl Users {
    /// Looks for users, other than the requester, by parts of their ids and names, whatever their case. Considers those
    /// who share a room with the requester and those in rooms that anybody may join or read.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub async fn search_users(
        &self,
        requester: &Requester,
        text: &str,
        limit: usize,
    ) -> Result<SearchResults, SearchError> {
        if text.len() > MAX_SEARCH_TERM {
            return Err(SearchError::TooLong);
        }
        let (wanted, limit) = (Wanted::new(text), limit.min(MAX_FOUND));
        let snapshot = self.engine.snapshot().await?;
        let snapshot = &*snapshot;
        let candidates = self.candidates(snapshot, text, &wanted).await?;
        let mut limited = candidates.len() >= MOST_LOOKED_AT;
        let mut sight = Sight::of(snapshot, &requester.user_id, &self.server_name).await?;
        let mut found: Vec<(Rank, bool, Found)> = Vec::new();
        for part in candidates.chunks(AT_ONCE) {
            // Those that fit best come early, but not first: a whole part is looked at.
            if found.len() > limit {
                limited = true;
                break;
            }
            let others: Vec<OwnedUserId> =
                part.iter().filter(|user_id| **user_id != requester.user_id).cloned().collect();
            let accounts = self.active(snapshot, others).await?;
            let seen = sight.look(snapshot, accounts).await?;
            found.extend(seen.into_iter().filter_map(|seen| ranked(&wanted, seen)));
        }
        found.sort_unstable_by(|a, b| (a.0, a.1, &a.2.user_id).cmp(&(b.0, b.1, &b.2.user_id)));
        limited |= found.len() > limit;
        found.truncate(limit);
        Ok(SearchResults { results: found.into_iter().map(|(_, _, found)| found).collect(), limited })
    }

    /// Who may fit: whoever has the id that is asked for, then in the order of the index.
    async fn candidates(
        &self,
        snapshot: &dyn Snapshot,
        text: &str,
        wanted: &Wanted,
    ) -> Result<Vec<OwnedUserId>, ReadError> {
        let text = text.trim();
        let by_id = UserId::parse(text).ok();
        let by_localpart = UserId::parse(format!("@{}:{}", text.to_lowercase(), self.server_name)).ok();
        let mut users: Vec<OwnedUserId> = by_id.into_iter().chain(by_localpart).collect();
        if let Some(word) = wanted.longest() {
            let word = word.to_owned();
            let end = format!("{word}{}", char::MAX);
            let scan = Scan::prefix::<DirectoryTerm>((), MOST_LOOKED_AT).from((word,)).before((end,));
            let rows = snapshot.scan::<DirectoryTerm>(scan).await?;
            // Whole words before ends of words, which fit less well.
            let (whole, ends): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.whole);
            users.extend(whole.into_iter().chain(ends).map(|row| row.user_id));
        }
        let mut known = HashSet::new();
        users.retain(|user_id| known.insert(user_id.clone()));
        users.truncate(MOST_LOOKED_AT);
        Ok(users)
    }

    /// Those whose account is not deactivated; users of other servers have theirs there.
    async fn active(
        &self,
        snapshot: &dyn Snapshot,
        mut users: Vec<OwnedUserId>,
    ) -> Result<Vec<OwnedUserId>, ReadError> {
        let local = users.iter().filter(|user_id| self.is_local(user_id));
        let keys: Vec<_> = local.map(|user_id| (user_id.clone(),)).collect();
        let accounts = snapshot.get_all::<Account>(&keys).await?.into_iter().flatten();
        let active: HashSet<OwnedUserId> = accounts
            .filter(|account| account.deactivated_at.is_none())
            .map(|account| account.user_id)
            .collect();
        users.retain(|user_id| !self.is_local(user_id) || active.contains(user_id));
        Ok(users)
    }
}

/// A user that fits, with how well and whether nothing is known of them but their id.
fn ranked(wanted: &Wanted, seen: Seen) -> Option<(Rank, bool, Found)> {
    let names = seen.profiles.iter().filter_map(|(name, _)| name.as_deref());
    let rank = wanted.rank(seen.user_id.as_str(), names)?;
    let (display_name, avatar_url) = seen.profiles.into_iter().next().unwrap_or_default();
    let is_bare = display_name.is_none() && avatar_url.is_none();
    Some((rank, is_bare, Found { user_id: seen.user_id, display_name, avatar_url }))
}

#[cfg(test)]
mod tests;
