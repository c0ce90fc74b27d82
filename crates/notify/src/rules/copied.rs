//! Push rules of a room that is replaced, for the room that replaces it.

use myelin_store::Reader;
use myelin_store::schema::notify::PushRules;
use ruma::push::{ConditionalPushRule, PushCondition, Ruleset};
use ruma::{RoomId, UserId};

use super::change::RuleError;
use super::ruleset::{self, MAX_RULE_ID, RuleProblem};
use crate::Notify;

impl Notify {
    /// Gives the user, for the new room, the room rule and the conditional rules they have for the old one. Rules that are
    /// there already stay as they are; so do all, where the user would have more than they may.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn copy_room_rules(
        &self,
        user_id: &UserId,
        old: &RoomId,
        new: &RoomId,
    ) -> Result<(), RuleError> {
        let snapshot = self.engine.snapshot().await?;
        let Some(stored) = snapshot.get::<PushRules>(&(user_id.to_owned(),)).await? else { return Ok(()) };
        drop(snapshot);
        if !copy(&mut ruleset::parse(&stored.content, user_id), old, new) {
            return Ok(());
        }
        let change = |rules: &mut Ruleset| {
            copy(rules, old, new);
            ruleset::check_number(rules)
        };
        match self.change(user_id, &change).await {
            Err(RuleError::Refused(RuleProblem::TooMany)) => Ok(()),
            other => other,
        }
    }
}

/// Adds the rules that are missing; says whether there were any.
fn copy(rules: &mut Ruleset, old: &RoomId, new: &RoomId) -> bool {
    let room = copy_room_rule(rules, old, new);
    let above = copy_conditional(&mut rules.override_, old, new);
    let below = copy_conditional(&mut rules.underride, old, new);
    room || above || below
}

fn copy_room_rule(rules: &mut Ruleset, old: &RoomId, new: &RoomId) -> bool {
    let Some(at) = rules.room.iter().position(|rule| rule.rule_id == old) else { return false };
    if rules.room.iter().any(|rule| rule.rule_id == new) {
        return false;
    }
    let mut list: Vec<_> = std::mem::take(&mut rules.room).into_iter().collect();
    let mut copied = list[at].clone();
    copied.rule_id = new.to_owned();
    list.insert(at + 1, copied);
    rules.room = list.into_iter().collect();
    true
}

/// Each copy stands right behind the rule it was made of.
fn copy_conditional<S>(set: &mut S, old: &RoomId, new: &RoomId) -> bool
where
    S: Default + IntoIterator<Item = ConditionalPushRule> + FromIterator<ConditionalPushRule>,
{
    let list: Vec<_> = std::mem::take(set).into_iter().collect();
    let ids: Vec<String> = list.iter().map(|rule| rule.rule_id.clone()).collect();
    let before = list.len();
    let with_copies = list.into_iter().flat_map(|rule| {
        let copied = copied(&rule, old, new).filter(|copied| !ids.contains(&copied.rule_id));
        std::iter::once(rule).chain(copied)
    });
    let list: Vec<_> = with_copies.collect();
    let grown = list.len() > before;
    *set = list.into_iter().collect();
    grown
}

/// The same rule for the new room, if this one is about the old room.
fn copied(rule: &ConditionalPushRule, old: &RoomId, new: &RoomId) -> Option<ConditionalPushRule> {
    let is_about = |condition: &PushCondition| match condition {
        PushCondition::EventMatch(data) => data.key == "room_id" && data.pattern == old.as_str(),
        _ => false,
    };
    if rule.default || !rule.conditions.iter().any(is_about) {
        return None;
    }
    let mut copied = rule.clone();
    copied.rule_id = if rule.rule_id.contains(old.as_str()) {
        rule.rule_id.replace(old.as_str(), new.as_str())
    } else {
        format!("{new}.{}", rule.rule_id)
    };
    for condition in &mut copied.conditions {
        match condition {
            PushCondition::EventMatch(data) if data.key == "room_id" && data.pattern == old.as_str() => {
                data.pattern = new.to_string();
            }
            _ => {}
        }
    }
    (copied.rule_id.len() <= MAX_RULE_ID).then_some(copied)
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};
    use serde_json::json;

    use super::{copy, ruleset};

    #[test]
    fn rules_about_a_room_are_copied_once_and_stand_behind_their_originals() {
        let about = |id: &str, room: &str| {
            json!({
                "rule_id": id, "default": false, "enabled": id != "off", "actions": [],
                "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": room }],
            })
        };
        let content = json!({ "global": {
            "override": [about("!old", "!old"), about("off", "!old"), about("else", "!x")],
            "room": [{ "rule_id": "!old:hs", "default": false, "enabled": true, "actions": ["notify"] }],
        }});
        let mut rules = ruleset::parse(content.to_string().as_bytes(), user_id!("@alice:hs"));
        assert!(copy(&mut rules, room_id!("!old"), room_id!("!new")));
        let own = rules.override_.iter().filter(|rule| !rule.default);
        let own: Vec<_> = own.map(|rule| (rule.rule_id.as_str(), rule.enabled)).collect();
        let expected = [("!old", true), ("!new", true), ("off", false), ("!new.off", false), ("else", true)];
        assert_eq!(own, expected);
        assert!(!copy(&mut rules, room_id!("!old"), room_id!("!new")));
        assert!(copy(&mut rules, room_id!("!old:hs"), room_id!("!new:hs")));
        assert!(rules.room.iter().any(|rule| rule.rule_id == "!new:hs"));
    }
}
