//! Users' rules, parsed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use myelin_model::Pos;
use myelin_store::schema::notify::PushRules;
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::OwnedUserId;

use crate::judge::Rules;
use crate::rules::parse;

/// How many users' rules are kept.
const MOST: usize = 16_384;

/// Rules by user, each as of one change.
#[derive(Default)]
pub(crate) struct RulesCache(Mutex<HashMap<OwnedUserId, (Pos, Arc<Rules>)>>);

impl RulesCache {
    /// The rules of these users, given with their last change as the snapshot has it.
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
        let parsed = rows.into_iter().flatten().map(|row| {
            let rules = Arc::new(Rules::new(&parse(&row.content, &row.user_id)));
            (row.user_id, row.changed, rules)
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
