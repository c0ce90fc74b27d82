use myelin_model::default_push_rules;
use ruma::push::{RuleKind, Ruleset};
use ruma::user_id;
use serde_json::{Value, json};

use super::{MAX_CONDITIONS, MAX_RULES, NewRule, Relative, RuleProblem, parse, remove, set, write};

fn rules() -> Ruleset {
    parse(b"", user_id!("@alice:here.test"))
}

fn put(
    rules: &mut Ruleset,
    kind: &str,
    id: &str,
    rule: Value,
    relative: &Relative,
) -> Result<(), RuleProblem> {
    let new: NewRule = serde_json::from_value(rule).unwrap();
    set(rules, &super::kind(kind)?, id, new, relative)
}

fn before(id: &str) -> Relative {
    Relative { before: Some(id.to_owned()), after: None }
}

fn after(id: &str) -> Relative {
    Relative { before: None, after: Some(id.to_owned()) }
}

fn order(rules: &Ruleset) -> Vec<&str> {
    rules.override_.iter().filter(|rule| !rule.default).map(|rule| rule.rule_id.as_str()).collect()
}

#[test]
fn a_rule_goes_where_it_is_put_and_moves_either_way() {
    let mut rules = rules();
    let mut put = |id: &str, relative: Relative| {
        put(&mut rules, "override", id, json!({ "actions": [] }), &relative).unwrap();
        order(&rules).join("")
    };
    assert_eq!(put("a", Relative::default()), "a");
    assert_eq!(put("b", Relative::default()), "ba", "the newest is the most important");
    assert_eq!(put("c", after("a")), "bac");
    assert_eq!(put("b", after("a")), "abc", "down by one");
    assert_eq!(put("a", after("c")), "bca", "to the end");
    assert_eq!(put("a", before("b")), "abc", "to the top");
    assert_eq!(put("b", Relative::default()), "abc", "an update without a wish stays");
    let both = Relative { before: Some("a".to_owned()), after: Some("b".to_owned()) };
    assert_eq!(put("d", both), "dabc", "before wins");
    assert_eq!(rules.override_[0].rule_id, ".m.rule.master");
    assert!(rules.override_.iter().skip(5).all(|rule| rule.default));
}

#[test]
fn what_is_refused_says_why() {
    let mut rules = rules();
    let some = || json!({ "actions": ["notify"], "pattern": "x" });
    let none = Relative::default();
    let refused = |kind: &str, id: &str, rule: Value, relative: &Relative| {
        let mut copy = rules.clone();
        put(&mut copy, kind, id, rule, relative).unwrap_err()
    };
    assert_eq!(refused("device", "a", some(), &none), RuleProblem::UnknownKind);
    assert_eq!(refused("content", ".a", some(), &none), RuleProblem::Reserved);
    assert_eq!(refused("content", "a/b", some(), &none), RuleProblem::BadId);
    assert_eq!(refused("content", "a\\b", some(), &none), RuleProblem::BadId);
    assert_eq!(refused("content", &"a".repeat(513), some(), &none), RuleProblem::BadId);
    assert_eq!(refused("room", "no room", some(), &none), RuleProblem::NoSubject);
    assert_eq!(refused("sender", "nobody", some(), &none), RuleProblem::NoSubject);
    assert_eq!(refused("content", "a", json!({ "actions": [] }), &none), RuleProblem::NoPattern);
    let long = json!({ "actions": [], "pattern": "x".repeat(256) });
    assert_eq!(refused("content", "a", long, &none), RuleProblem::LongPattern);
    assert_eq!(refused("content", "a", some(), &before("b")), RuleProblem::NoSuchNeighbour("b".to_owned()));
    assert_eq!(refused("content", "a", some(), &after("a")), RuleProblem::NoSuchNeighbour("a".to_owned()));
    assert_eq!(refused("override", "a", some(), &after(".m.rule.master")), RuleProblem::RelativeToDefault);
    let remove = |rules: &mut Ruleset, id: &str| remove(rules, &RuleKind::Override, id);
    assert_eq!(remove(&mut rules, ".m.rule.master"), Err(RuleProblem::ServerDefault));
    assert_eq!(remove(&mut rules, "a"), Err(RuleProblem::NotFound));
}

#[test]
fn rules_are_bounded() {
    let mut rules = rules();
    let none = Relative::default();
    for n in 0..MAX_RULES {
        put(&mut rules, "room", &format!("!{n}:x"), json!({ "actions": [] }), &none).unwrap();
    }
    let one_more = put(&mut rules, "room", "!more:x", json!({ "actions": [] }), &none);
    assert_eq!(one_more, Err(RuleProblem::TooMany));
    let conditions = vec![json!({ "kind": "contains_display_name" }); MAX_CONDITIONS + 1];
    let mut rules = super::tests::rules();
    let many = json!({ "actions": [], "conditions": conditions });
    assert_eq!(put(&mut rules, "underride", "a", many, &none), Err(RuleProblem::TooMany));
}

#[test]
fn rules_come_back_as_they_were_written_and_new_ones_of_the_server_join_them() {
    let alice = user_id!("@alice:here.test");
    let mut rules = rules();
    let rule = json!({ "actions": ["dont_notify", { "set_tweak": "org.x", "value": [1] }] });
    put(&mut rules, "sender", "@bob:here.test", rule.clone(), &Relative::default()).unwrap();
    rules.set_enabled(RuleKind::Override, ".m.rule.master", true).unwrap();
    let content: Value = serde_json::from_slice(&write(&rules).unwrap()).unwrap();
    assert_eq!(content["global"]["sender"][0]["actions"], rule["actions"]);
    assert_eq!(content["global"]["content"], json!([]));
    let mut older = content.clone();
    older["global"]["underride"].as_array_mut().unwrap().clear();
    let again = write(&parse(older.to_string().as_bytes(), alice)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), content);
    let defaults: Value = serde_json::from_str(&default_push_rules(alice)).unwrap();
    let count = |content: &Value, kind: &str| content["global"][kind].as_array().unwrap().len();
    assert_eq!(count(&content, "override"), count(&defaults, "override"));
}
