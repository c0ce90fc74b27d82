//! Push rules of any kind, made ready to judge events by (client-server API, "Push Rules").
//!
//! The rules that everyone starts with are judged faster by `verdict`; this judges by what a user made of them. It is
//! written out here because it meets hostile events and hostile patterns in the way of every message: nothing in it
//! recurses or backtracks. Tests hold it against ruma's.

mod condition;
mod pattern;
mod subject;
#[cfg(test)]
mod tests;

pub use pattern::MAX_PATTERN;
pub(crate) use subject::{Asker, Subject};

use ruma::RoomId;
use ruma::push::{Action, AnyPushRuleRef, Ruleset};

use condition::Condition;

/// A user's rules, ready to use. Rules that are not enabled are left out.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    /// Whether a rule asks for the user's display name in the room.
    pub(crate) wants_name: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    conditions: Vec<Condition>,
    actions: Vec<Action>,
}

/// What rules say of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) notifies: bool,
    /// Never without `notifies`.
    pub(crate) highlight: bool,
}

impl Rules {
    pub(crate) fn new(ruleset: &Ruleset) -> Self {
        let rules: Vec<Rule> = ruleset.iter().filter(|rule| rule.enabled()).map(Rule::new).collect();
        let names = |condition: &Condition| matches!(condition, Condition::ContainsDisplayName);
        let wants_name = rules.iter().any(|rule| rule.conditions.iter().any(names));
        Self { rules, wants_name }
    }

    /// The actions of the first rule that matches. Whoever sent the event is not asked about: nobody is notified of
    /// what they sent.
    pub(crate) fn actions(&self, subject: &Subject, asker: &Asker<'_>) -> &[Action] {
        let matches = |rule: &&Rule| rule.conditions.iter().all(|condition| condition.holds(subject, asker));
        self.rules.iter().find(matches).map_or(&[], |rule| &rule.actions)
    }

    pub(crate) fn says(&self, subject: &Subject, asker: &Asker<'_>) -> Says {
        Says::of(self.actions(subject, asker))
    }

    /// Whether no ordinary message of the room notifies.
    pub(crate) fn are_quiet_in(&self, room_id: &RoomId) -> bool {
        Subject::ordinary(room_id).iter().all(|message| !self.says(message, &Asker::default()).notifies)
    }
}

impl Says {
    pub(crate) fn of(actions: &[Action]) -> Self {
        let notifies = actions.iter().any(Action::should_notify);
        Self { notifies, highlight: notifies && actions.iter().any(Action::is_highlight) }
    }
}

impl Rule {
    fn new(rule: AnyPushRuleRef<'_>) -> Self {
        let conditions = match rule {
            AnyPushRuleRef::Override(rule)
            | AnyPushRuleRef::PostContent(rule)
            | AnyPushRuleRef::Underride(rule) => rule.conditions.iter().map(Condition::new).collect(),
            AnyPushRuleRef::Content(rule) => vec![Condition::event_match("content.body", &rule.pattern)],
            AnyPushRuleRef::Room(rule) => vec![Condition::Room(rule.rule_id.to_string())],
            AnyPushRuleRef::Sender(rule) => vec![Condition::Sender(rule.rule_id.to_string())],
            // A kind that this server has no meaning for matches nothing.
            _ => vec![Condition::Unknown],
        };
        Self { conditions, actions: rule.actions().to_vec() }
    }
}
