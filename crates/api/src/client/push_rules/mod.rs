//! Push rules.

pub(crate) mod actions;
pub(crate) mod all;
pub(crate) mod enabled;
mod error;
pub(crate) mod global;
pub(crate) mod rule;

use myelin_model::Requester;
use myelin_notify::{Notify, RuleError};
use serde_json::Value;

use crate::Error;

/// One rule of the requester.
async fn lookup(notify: &Notify, requester: &Requester, kind: &str, rule_id: &str) -> Result<Value, Error> {
    let rules = notify.push_rules(requester).await?;
    let rule = rules.rule(kind, rule_id).map_err(RuleError::from)?;
    rule.ok_or_else(|| Error::not_found("There is no such push rule."))
}
