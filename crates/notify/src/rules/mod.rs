//! A user's push rules: reading them, and what a change makes of them.

mod change;
mod copied;
mod ruleset;

pub use change::RuleError;
pub use ruleset::{MAX_CONDITIONS, MAX_RULE_ID, MAX_RULES, MAX_RULES_BYTES, NewRule, Relative, RuleProblem};
pub(crate) use ruleset::{filters_threads, parse};

use bytes::Bytes;
use myelin_model::Requester;
use myelin_store::ReadError;
use myelin_store::schema::notify::push_rules_content;
use serde_json::{Value, from_slice};

use crate::Notify;

/// A user's push rules.
#[derive(Clone, Debug)]
pub struct PushRules {
    content: Bytes,
}

impl Notify {
    /// The push rules of the one who asks.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn push_rules(&self, requester: &Requester) -> Result<PushRules, ReadError> {
        let snapshot = self.engine.snapshot().await?;
        Ok(PushRules { content: push_rules_content(&*snapshot, &requester.user_id).await? })
    }
}

impl PushRules {
    /// All rulesets: an object with the member `global`, as JSON.
    #[must_use]
    pub fn into_all(self) -> Bytes {
        self.content
    }

    /// The rules of the global ruleset by kind.
    #[must_use]
    pub fn global(&self) -> Value {
        let mut content: Value = from_slice(&self.content).unwrap_or_default();
        content.get_mut("global").map(Value::take).unwrap_or_default()
    }

    /// One rule, by its kind (`override`, `content`, `postcontent`, `room`, `sender`, `underride`) and id.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn rule(&self, kind: &str, rule_id: &str) -> Result<Option<Value>, RuleProblem> {
        ruleset::kind(kind)?;
        let mut global = self.global();
        let rules = global.get_mut(kind).and_then(Value::as_array_mut);
        let rule = rules.and_then(|rules| rules.iter_mut().find(|rule| rule["rule_id"] == rule_id));
        Ok(rule.map(Value::take))
    }
}
