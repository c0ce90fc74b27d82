//! Users' rules, parsed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use myelin_model::Pos;
use myelin_store::schema::notify::{PushRules, PushUser};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::OwnedUserId;

use crate::Notify;
use crate::judge::Rules;
use crate::rules::parse;

/// How many users' rules are kept, and those of one event's members besides.
const MOST: usize = 8_192;

/// Rules by user, each as of one change.
#[derive(Default)]
pub(crate) struct RulesCache(Mutex<HashMap<OwnedUserId, (Pos, Arc<Rules>)>>);

impl RulesCache {
    /// The rules of these users, given with their last change as the snapshot has it: position zero for the default ones.
    pub(crate) async fn read(
        &self,
        snapshot: &dyn Snapshot,
        versions: Vec<(OwnedUserId, Pos)>,
    ) -> Result<HashMap<OwnedUserId, Arc<Rules>>, ReadError> {
        let mut found = HashMap::with_capacity(versions.len());
        let mut missing = Vec::new();
        {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (user_id, changed) in versions {
                match kept.get(&user_id) {
                    Some((as_of, rules)) if *as_of == changed => {
                        found.insert(user_id, Arc::clone(rules));
                    }
                    _ => missing.push((user_id,)),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let rows = snapshot.get_all::<PushRules>(&missing).await?;
        let parsed = missing.into_iter().zip(rows).map(|((user_id,), row)| {
            let (content, changed) = row.map_or((Bytes::new(), Pos::ZERO), |row| (row.content, row.changed));
            let rules = Arc::new(Rules::new(&parse(&content, &user_id)));
            (user_id, changed, rules)
        });
        let parsed: Vec<_> = parsed.collect();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + parsed.len() > MOST {
            kept.clear();
        }
        for (user_id, changed, rules) in parsed {
            kept.insert(user_id.clone(), (changed, Arc::clone(&rules)));
            found.insert(user_id, rules);
        }
        Ok(found)
    }
}

impl Notify {
    /// The rules of those among these users who have their own, ready to use.
    pub(crate) async fn own_rules(
        &self,
        snapshot: &dyn Snapshot,
        users: &[OwnedUserId],
    ) -> Result<HashMap<OwnedUserId, Arc<Rules>>, ReadError> {
        let own = self.versions(snapshot, users).await?.into_iter();
        self.cache.read(snapshot, own.filter_map(|(user_id, rules)| Some((user_id, rules?))).collect()).await
    }

    /// The rules of these users, their own or the default ones, ready to use.
    pub(crate) async fn all_rules(
        &self,
        snapshot: &dyn Snapshot,
        users: &[OwnedUserId],
    ) -> Result<HashMap<OwnedUserId, Arc<Rules>>, ReadError> {
        let all = self.versions(snapshot, users).await?.into_iter();
        let versions = all.map(|(user_id, rules)| (user_id, rules.unwrap_or(Pos::ZERO)));
        self.cache.read(snapshot, versions.collect()).await
    }

    /// When the rules of these users last changed; none for the default ones.
    async fn versions(
        &self,
        snapshot: &dyn Snapshot,
        users: &[OwnedUserId],
    ) -> Result<Vec<(OwnedUserId, Option<Pos>)>, ReadError> {
        let keys: Vec<_> = users.iter().map(|user_id| (user_id.clone(),)).collect();
        let rows = snapshot.get_all::<PushUser>(&keys).await?;
        let changed = rows.into_iter().map(|row| row.and_then(|row| row.rules));
        Ok(users.iter().cloned().zip(changed).collect())
    }
}
