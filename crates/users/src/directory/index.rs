//! Keeping the directory's index up to names and members.

use std::collections::BTreeMap;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::Member;
use myelin_store::schema::users::DirectoryTerm;
use myelin_store::{Batch, ReadError, Reader, Snapshot};
use ruma::{OwnedUserId, UserId};

use super::terms::terms;
use crate::Users;

impl Users {
    /// Makes somebody who joins a room findable, in the commit of their join: by their localpart, and where another
    /// server keeps their profile, by the name that they show.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list_member(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        room: RoomNid,
        user_id: &UserId,
        display_name: Option<&str>,
    ) -> Result<(), ReadError> {
        let owned = user_id.to_owned();
        if self.is_local(user_id) {
            let own = terms(user_id.localpart());
            let Some((first, _)) = own.first() else { return Ok(()) };
            // Whoever was in a room before is listed already.
            if snapshot.get::<DirectoryTerm>(&(first.clone(), owned.clone())).await?.is_none() {
                replace(batch, &owned, Vec::new(), own);
            }
            return Ok(());
        }
        let before = snapshot.get::<Member>(&(room, owned.clone())).await?;
        let before = before.and_then(|member| member.display_name);
        if before.is_none() || before.as_deref() != display_name {
            renamed(batch, &owned, before.as_deref(), display_name);
        }
        Ok(())
    }
}

/// Writes into the batch by what a user is found who had one name and has another now.
pub(crate) fn renamed(batch: &mut Batch, user_id: &OwnedUserId, before: Option<&str>, after: Option<&str>) {
    let named = |name: Option<&str>| {
        let mut all = terms(user_id.localpart());
        all.extend(name.map(terms).unwrap_or_default());
        all
    };
    replace(batch, user_id, named(before), named(after));
}

fn replace(
    batch: &mut Batch,
    user_id: &OwnedUserId,
    before: Vec<(String, bool)>,
    after: Vec<(String, bool)>,
) {
    let mut kept: BTreeMap<String, bool> = BTreeMap::new();
    for (term, whole) in after {
        *kept.entry(term).or_default() |= whole;
    }
    for (term, _) in before {
        if !kept.contains_key(&term) {
            batch.delete::<DirectoryTerm>(&(term, user_id.clone()));
        }
    }
    for (term, whole) in kept {
        batch.put(&DirectoryTerm { term, user_id: user_id.clone(), whole });
    }
}
