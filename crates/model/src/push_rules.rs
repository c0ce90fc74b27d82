//! The push rules that everyone starts with, as data.

use ruma::UserId;

/// The rules as the specification prints them; what stands for the user in it is `$USER_ID`.
const TEMPLATE: &str = include_str!("push_rules.json");

/// The server-default push rules of a user, as the content of an `m.push_rules` event (client-server API, "Predefined
/// Rules"; those for polls: MSC3930; those for threads: MSC4306). What `notify` judges events by and what a sync shows of a user who changed none of them.
#[must_use]
pub fn default_push_rules(user_id: &UserId) -> String {
    // A user id from the days before its grammar may hold any printable character.
    let quoted = serde_json::Value::from(user_id.as_str()).to_string();
    TEMPLATE.replace("$USER_ID", &quoted)
}

#[cfg(test)]
mod tests {
    use ruma::push::Ruleset;
    use ruma::{UserId, user_id};
    use serde_json::{Value, json};

    use super::default_push_rules;

    #[test]
    fn they_are_the_ones_that_ruma_reads_out_of_the_specification() {
        let alice = user_id!("@alice:example.org");
        let ours: Value = serde_json::from_str(&default_push_rules(alice)).unwrap();
        // Through ruma's types on both sides: the order of fields, and empty lists, mean nothing.
        let mut ours: Ruleset = serde_json::from_value(ours["global"].clone()).unwrap();
        // Those for polls, which the specification does not have yet.
        ours.override_.retain(|rule| !rule.rule_id.contains("msc3930"));
        ours.underride.retain(|rule| !rule.rule_id.contains("msc3930"));
        assert_eq!(json!(ours), json!(Ruleset::server_default(alice)));
    }

    #[test]
    fn an_odd_user_id_does_not_break_the_json() {
        let odd = <&UserId>::try_from(r#"@a"b\c:example.org"#).unwrap();
        let rules: Value = serde_json::from_str(&default_push_rules(odd)).unwrap();
        let mention = &rules["global"]["override"][4];
        assert_eq!(mention["conditions"][0]["value"], odd.as_str());
    }
}
