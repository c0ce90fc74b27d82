//! Changing push rules.

use myelin_model::{Requester, Topic};
use myelin_store::schema::notify::{PushRules, PushUser, ThreadFollower};
use myelin_store::{Batch, CommitError, ReadError, Reader, Snapshot};
use ruma::UserId;
use ruma::push::{Action, Ruleset};

use super::ruleset::{self, NewRule, Relative, RuleProblem};
use crate::{ATTEMPTS, Notify};

/// Why push rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The change was refused.
    #[error(transparent)]
    Refused(#[from] RuleProblem),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A change of a ruleset.
type Change<'a> = &'a (dyn Fn(&mut Ruleset) -> Result<(), RuleProblem> + Sync);

impl Notify {
    /// Adds a push rule, or changes the one of this kind and id.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub async fn set_push_rule(
        &self,
        requester: &Requester,
        kind: &str,
        rule_id: &str,
        new: &NewRule,
        relative: &Relative,
    ) -> Result<(), RuleError> {
        let kind = ruleset::kind(kind)?;
        let set = |rules: &mut Ruleset| ruleset::set(rules, &kind, rule_id, new.clone(), relative);
        self.change(&requester.user_id, &set).await
    }

    /// Deletes a push rule that the user added.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub async fn delete_push_rule(
        &self,
        requester: &Requester,
        kind: &str,
        rule_id: &str,
    ) -> Result<(), RuleError> {
        let kind = ruleset::kind(kind)?;
        self.change(&requester.user_id, &|rules| ruleset::remove(rules, &kind, rule_id)).await
    }

    /// Enables or disables a push rule, one of the server's too.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub async fn enable_push_rule(
        &self,
        requester: &Requester,
        kind: &str,
        rule_id: &str,
        enabled: bool,
    ) -> Result<(), RuleError> {
        let kind = ruleset::kind(kind)?;
        let set = |rules: &mut Ruleset| {
            rules.set_enabled(kind.clone(), rule_id, enabled).map_err(|_| RuleProblem::NotFound)
        };
        self.change(&requester.user_id, &set).await
    }

    /// Sets what happens for events that a push rule matches, one of the server's too.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub async fn set_push_rule_actions(
        &self,
        requester: &Requester,
        kind: &str,
        rule_id: &str,
        actions: &[Action],
    ) -> Result<(), RuleError> {
        let kind = ruleset::kind(kind)?;
        let set = |rules: &mut Ruleset| {
            rules.set_actions(kind.clone(), rule_id, actions.to_vec()).map_err(|_| RuleProblem::NotFound)
        };
        self.change(&requester.user_id, &set).await
    }

    /// Commits the changed rules, and brings the user's rooms in line with them before it returns.
    pub(super) async fn change(&self, user_id: &UserId, change: Change<'_>) -> Result<(), RuleError> {
        let _turn = self.turns.of(myelin_model::Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let batch = self.plan_change(&*snapshot, user_id, change).await?;
            drop(snapshot);
            attempt += 1;
            match self.engine.commit(batch).await {
                Ok(_) => break,
                Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.spread(user_id).await
    }

    async fn plan_change(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &UserId,
        change: Change<'_>,
    ) -> Result<Batch, RuleError> {
        let key = (user_id.to_owned(),);
        let stored = snapshot.get::<PushRules>(&key).await?;
        let mut batch = self.batch(user_id);
        match &stored {
            Some(stored) => batch.expect_column::<PushRules>(&key, "changed", &stored.changed),
            None => batch.expect_absent::<PushRules>(&key),
        }
        let content = stored.map(|stored| stored.content).unwrap_or_default();
        let mut rules = ruleset::parse(&content, user_id);
        change(&mut rules)?;
        let (content, changed) = (ruleset::write(&rules)?, batch.next_pos());
        if snapshot.get::<ThreadFollower>(&key).await?.is_some() {
            let filters = ruleset::filters_threads(&rules);
            batch.put(&ThreadFollower { user_id: user_id.to_owned(), filters });
        }
        let (user_id,) = key;
        batch.wake(Topic::user(user_id.as_str()));
        batch.put(&PushUser { user_id: user_id.clone(), rules: Some(changed), spreading: true });
        batch.put(&PushRules { user_id, content, changed });
        Ok(batch)
    }
}
