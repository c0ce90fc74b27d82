//! What a change makes of a ruleset (client-server API, "Push Rules API").

use bytes::Bytes;
use myelin_model::default_push_rules;
use ruma::push::{
    Action, ConditionalPushRule, NewConditionalPushRule, NewPatternedPushRule, NewSimplePushRule,
    PatternedPushRule, PushCondition, RemovePushRuleError, RuleKind, Ruleset, SimplePushRule,
};
use ruma::{RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::MAX_PATTERN;

/// The longest id of a rule, in bytes.
pub const MAX_RULE_ID: usize = 512;
/// How many rules a user may add.
pub const MAX_RULES: usize = 1_000;
/// How many conditions the rules that a user added may have together, patterns of content rules among them: every one
/// of them is tried on every event.
pub const MAX_CONDITIONS: usize = 500;
/// How large a user's rules may be together, in bytes of JSON.
pub const MAX_RULES_BYTES: usize = 256 * 1_024;

/// A rule as a client sends it. What its kind has no use for is ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct NewRule {
    /// What happens for an event that it matches.
    pub actions: Vec<Action>,
    /// What must hold of an event: for `override` and `underride`.
    #[serde(default)]
    pub conditions: Vec<PushCondition>,
    /// What the body must contain: for `content`.
    #[serde(default)]
    pub pattern: Option<String>,
}

/// Where among the rules of its kind a rule goes.
#[derive(Clone, Debug, Default)]
pub struct Relative {
    /// It becomes the next more important one than this rule.
    pub before: Option<String>,
    /// It becomes the next less important one than this rule, unless `before` is given too.
    pub after: Option<String>,
}

/// Why a change of rules was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// There is no such kind of rules.
    #[error("the kinds of push rules are override, content, postcontent, room, sender and underride")]
    UnknownKind,
    /// Ids that begin with a dot are the server's.
    #[error("rule ids that begin with a dot are kept for the rules of the server")]
    Reserved,
    /// The id holds what it may not hold, or is too long.
    #[error("a rule id has no slashes or backslashes, and at most {MAX_RULE_ID} bytes")]
    BadId,
    /// A room rule is named by a room, a sender rule by a user.
    #[error("the id of a room rule is a room id, and that of a sender rule a user id")]
    NoSubject,
    /// A content rule needs a pattern.
    #[error("a content rule needs a pattern")]
    NoPattern,
    /// A pattern is too long.
    #[error("a pattern may have {MAX_PATTERN} bytes")]
    LongPattern,
    /// The rule to go before or after is not there.
    #[error("before/after rule not found: {0}")]
    NoSuchNeighbour(String),
    /// Rules of this kind are the server's only (MSC4306).
    #[error("there are no postcontent rules but those of the server")]
    ServerOnly,
    /// No rule goes before or after one of the server's.
    #[error("rules can't be placed relative to a rule of the server")]
    RelativeToDefault,
    /// There is no such rule.
    #[error("there is no such push rule")]
    NotFound,
    /// The server's rules can be disabled, not deleted.
    #[error("the rules of the server can't be deleted; they can be disabled")]
    ServerDefault,
    /// More rules, or larger ones, than a user may have.
    #[error("these are more or larger push rules than a user may have")]
    TooMany,
}

/// How `RuleKind::PostContent` is called in rulesets and paths.
const POSTCONTENT: &str = "postcontent";
/// The rule that silences threads that a user is not subscribed to (MSC4306).
const UNSUBSCRIBED_THREAD: &str = ".io.element.msc4306.rule.unsubscribed_thread";

/// Whether the rules are silent on threads that the user is not subscribed to.
pub(crate) fn filters_threads(rules: &Ruleset) -> bool {
    let rule = rules.postcontent.get(UNSUBSCRIBED_THREAD);
    rule.is_some_and(|rule| rule.enabled && !rule.actions.iter().any(Action::should_notify))
}

/// The kind of this name.
pub(super) fn kind(name: &str) -> Result<RuleKind, RuleProblem> {
    if name == POSTCONTENT {
        return Ok(RuleKind::PostContent);
    }
    match RuleKind::from(name) {
        kind @ (RuleKind::Override
        | RuleKind::Content
        | RuleKind::Room
        | RuleKind::Sender
        | RuleKind::Underride) => Ok(kind),
        _ => Err(RuleProblem::UnknownKind),
    }
}

/// The rules in the content of `m.push_rules`, with those of the server as this release has them. What can't be read is
/// none of the user's.
pub(crate) fn parse(content: &[u8], user_id: &UserId) -> Ruleset {
    #[derive(Default, Deserialize)]
    struct Content {
        global: Ruleset,
    }
    let read = |content: &[u8]| serde_json::from_slice::<Content>(content).unwrap_or_default().global;
    let mut rules = read(content);
    let mut default = read(default_push_rules(user_id).as_bytes());
    // ruma does not take these over yet; there are none but the server's.
    let postcontent = std::mem::take(&mut default.postcontent).into_iter().map(|mut rule| {
        if let Some(old) = rules.postcontent.get(rule.rule_id.as_str()) {
            (rule.enabled, rule.actions) = (old.enabled, old.actions.clone());
        }
        rule
    });
    rules.postcontent = postcontent.collect();
    rules.update_with_server_default(default);
    rules
}

/// The content of `m.push_rules`. Every kind is there, with no rules too.
pub(super) fn write(rules: &Ruleset) -> Result<Bytes, RuleProblem> {
    let mut global = json!({ "override": [], "content": [], "postcontent": [], "room": [], "sender": [], "underride": [] });
    if let (Some(global), Ok(Value::Object(written))) = (global.as_object_mut(), serde_json::to_value(rules))
    {
        global.extend(written);
    }
    let content = Bytes::from(json!({ "global": global }).to_string());
    if content.len() > MAX_RULES_BYTES { Err(RuleProblem::TooMany) } else { Ok(content) }
}

/// Adds a rule, or changes the one with its id and kind, which then stays enabled or disabled as it was.
pub(super) fn set(
    rules: &mut Ruleset,
    kind: &RuleKind,
    rule_id: &str,
    new: NewRule,
    relative: &Relative,
) -> Result<(), RuleProblem> {
    check_id(rule_id)?;
    check_patterns(&new)?;
    let NewRule { actions, conditions, pattern } = new;
    let conditional = || {
        ConditionalPushRule::from(NewConditionalPushRule::new(
            rule_id.to_owned(),
            conditions,
            actions.clone(),
        ))
    };
    match kind {
        RuleKind::Override => place(&mut rules.override_, conditional(), relative),
        RuleKind::Underride => place(&mut rules.underride, conditional(), relative),
        RuleKind::PostContent => Err(RuleProblem::ServerOnly),
        RuleKind::Content => {
            let pattern = pattern.ok_or(RuleProblem::NoPattern)?;
            let rule = NewPatternedPushRule::new(rule_id.to_owned(), pattern, actions);
            place(&mut rules.content, rule.into(), relative)
        }
        RuleKind::Room => {
            let room_id = RoomId::parse(rule_id).map_err(|_| RuleProblem::NoSubject)?;
            place(&mut rules.room, NewSimplePushRule::new(room_id, actions).into(), relative)
        }
        RuleKind::Sender => {
            let user_id = UserId::parse(rule_id).map_err(|_| RuleProblem::NoSubject)?;
            place(&mut rules.sender, NewSimplePushRule::new(user_id, actions).into(), relative)
        }
        _ => Err(RuleProblem::UnknownKind),
    }?;
    check_number(rules)
}

/// Removes a rule that the user added.
pub(super) fn remove(rules: &mut Ruleset, kind: &RuleKind, rule_id: &str) -> Result<(), RuleProblem> {
    rules.remove(kind.clone(), rule_id).map_err(|error| match error {
        RemovePushRuleError::ServerDefault => RuleProblem::ServerDefault,
        _ => RuleProblem::NotFound,
    })
}

fn check_id(rule_id: &str) -> Result<(), RuleProblem> {
    if rule_id.starts_with('.') {
        return Err(RuleProblem::Reserved);
    }
    let fits = !rule_id.is_empty() && rule_id.len() <= MAX_RULE_ID && !rule_id.contains(['/', '\\']);
    if fits { Ok(()) } else { Err(RuleProblem::BadId) }
}

fn check_patterns(new: &NewRule) -> Result<(), RuleProblem> {
    let in_conditions = new.conditions.iter().filter_map(|condition| match condition {
        PushCondition::EventMatch(data) => Some(&data.pattern),
        _ => None,
    });
    let fits = in_conditions.chain(&new.pattern).all(|pattern| pattern.len() <= MAX_PATTERN);
    if fits { Ok(()) } else { Err(RuleProblem::LongPattern) }
}

pub(super) fn check_number(rules: &Ruleset) -> Result<(), RuleProblem> {
    let added = rules.iter().filter(|rule| !rule.is_server_default()).count();
    let conditional = rules.override_.iter().chain(&rules.underride).filter(|rule| !rule.default);
    let conditions = conditional.map(|rule| rule.conditions.len()).sum::<usize>() + rules.content.len();
    if added <= MAX_RULES && conditions <= MAX_CONDITIONS { Ok(()) } else { Err(RuleProblem::TooMany) }
}

/// What all rules have.
trait Rule {
    fn id(&self) -> &str;
    fn is_default(&self) -> bool;
    fn enabled(&mut self) -> &mut bool;
}

macro_rules! rule {
    ($type:ty, $id:ident => $text:expr) => {
        impl Rule for $type {
            fn id(&self) -> &str {
                let $id = self;
                $text
            }

            fn is_default(&self) -> bool {
                self.default
            }

            fn enabled(&mut self) -> &mut bool {
                &mut self.enabled
            }
        }
    };
}
rule!(ConditionalPushRule, rule => &rule.rule_id);
rule!(PatternedPushRule, rule => &rule.rule_id);
rule!(SimplePushRule<ruma::OwnedRoomId>, rule => rule.rule_id.as_str());
rule!(SimplePushRule<ruma::OwnedUserId>, rule => rule.rule_id.as_str());

/// Puts a rule among those of its kind. (Not ruma's own way: that misplaces a rule which moves down.)
fn place<S, T>(set: &mut S, mut rule: T, relative: &Relative) -> Result<(), RuleProblem>
where
    S: Default + IntoIterator<Item = T> + FromIterator<T>,
    T: Rule,
{
    let neighbours = [&relative.before, &relative.after];
    if neighbours.into_iter().flatten().any(|id| id.starts_with('.')) {
        return Err(RuleProblem::RelativeToDefault);
    }
    let mut rules: Vec<T> = std::mem::take(set).into_iter().collect();
    let old = rules.iter().position(|old| old.id() == rule.id());
    if let Some(old) = old {
        *rule.enabled() = *rules.remove(old).enabled();
    }
    let find = |id: &String| {
        let found = rules.iter().position(|other| other.id() == id);
        found.ok_or_else(|| RuleProblem::NoSuchNeighbour(id.clone()))
    };
    let after = relative.after.as_ref().map(find).transpose()?;
    let before = relative.before.as_ref().map(find).transpose()?;
    // Only `.m.rule.master` stands before what users add.
    let first = rules.iter().take_while(|rule| rule.is_default() && rule.id() == ".m.rule.master").count();
    let at = before.or(after.map(|after| after + 1)).or(old).unwrap_or(first);
    rules.insert(at.min(rules.len()), rule);
    *set = rules.into_iter().collect();
    Ok(())
}

#[cfg(test)]
mod tests;
