//! Which fields of events a client wants (client-server API, "Filtering": `event_fields`), as dot-separated property paths
//! (appendices, "Dot-separated property paths").

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

/// The most properties that a path goes through.
const DEEPEST: usize = 32;

/// A path goes through more properties than any event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path of `event_fields` goes through more than {DEEPEST} properties")]
pub struct TooDeep;

/// Fields of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFields(Node);

/// What is wanted of a value: all of it, or these properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    all: bool,
    properties: BTreeMap<String, Self>,
}

impl EventFields {
    /// The fields that these paths name.
    ///
    /// # Errors
    /// When a path is absurd. Any other text is the path of some property.
    pub fn parse<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<Self, TooDeep> {
        let mut root = Node::default();
        for path in paths {
            let properties = properties(path);
            if properties.len() > DEEPEST {
                return Err(TooDeep);
            }
            let mut node = &mut root;
            for property in properties {
                node = node.properties.entry(property).or_default();
            }
            node.all = true;
        }
        Ok(Self(root))
    }

    /// The fields that an event has of these, and nothing else.
    #[must_use]
    pub fn of(&self, event: &RawValue) -> Box<RawValue> {
        let nothing =
            || to_raw_value(&BTreeMap::<&str, ()>::new()).unwrap_or_else(|_| RawValue::NULL.to_owned());
        self.0.of(event).map_or_else(nothing, Cow::into_owned)
    }
}

impl Node {
    /// What a value has of what is wanted; nothing where it has none of it. Goes no deeper than the paths.
    fn of<'j>(&self, value: &'j RawValue) -> Option<Cow<'j, RawValue>> {
        if self.all {
            return Some(Cow::Borrowed(value));
        }
        let properties: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
        let wanted: BTreeMap<&str, Cow<'_, RawValue>> = self
            .properties
            .iter()
            .filter_map(|(name, node)| Some((name.as_str(), node.of(properties.get(name)?)?)))
            .collect();
        if wanted.is_empty() { None } else { to_raw_value(&wanted).ok().map(Cow::Owned) }
    }
}

/// The properties that a path goes through. A backslash takes the meaning from a dot and from another backslash, and
/// stands for itself before anything else.
fn properties(path: &str) -> Vec<String> {
    let mut properties = vec![String::new()];
    let mut letters = path.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = if letter == '\\' { letters.next_if(|next| matches!(next, '.' | '\\')) } else { None };
        match (letter, properties.last_mut()) {
            ('.', _) => properties.push(String::new()),
            (letter, Some(property)) => property.push(escaped.unwrap_or(letter)),
            (_, None) => {}
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn fields_of(paths: &[&str], event: &Value) -> Value {
        let fields = EventFields::parse(paths.iter().copied()).unwrap();
        serde_json::from_str(fields.of(&to_raw_value(event).unwrap()).get()).unwrap()
    }

    #[test]
    fn a_path_names_a_property_and_its_escapes_are_those_of_the_specification() {
        let event = json!({
            "type": "m.room.message", "sender": "@a:b",
            "content": { "body": "hi", "m.relates_to": { "rel_type": "m.thread", "event_id": "$1" },
                "m\\foo": 1, "\\x": 2, "list": [{ "body": "no" }], "null": null }
        });
        let cases = [
            (vec!["content.body"], json!({ "content": { "body": "hi" } })),
            (
                vec![r"content.m\.relates_to.rel_type"],
                json!({ "content": { "m.relates_to": { "rel_type": "m.thread" } } }),
            ),
            (vec![r"content.m\\foo"], json!({ "content": { "m\\foo": 1 } })),
            (vec![r"content.\x", "type"], json!({ "content": { "\\x": 2 }, "type": "m.room.message" })),
            (vec!["content.null"], json!({ "content": { "null": null } })),
            (
                vec!["content.m.relates_to", "content.list.body", "sender.a", "content.gone", "", "\\"],
                json!({}),
            ),
            (vec!["content.body", "content"], json!({ "content": event["content"] })),
        ];
        for (paths, expected) in cases {
            assert_eq!(fields_of(&paths, &event), expected, "{paths:?}");
        }
    }

    #[test]
    fn a_path_deeper_than_any_event_is_refused() {
        assert!(EventFields::parse(["a.".repeat(DEEPEST - 1).as_str()]).is_ok());
        assert_eq!(EventFields::parse(["a.".repeat(DEEPEST).as_str()]), Err(TooDeep));
    }

    /// Names of which some need escapes.
    fn name() -> impl Strategy<Value = String> {
        r"[ab.\\x]{0,2}"
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), Just(json!(1)), Just(json!([{ "a": 1 }]))];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop::collection::btree_map(name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    fn path_of(names: &[String]) -> String {
        let escape = |name: &String| name.replace('\\', r"\\").replace('.', r"\.");
        names.iter().map(escape).collect::<Vec<_>>().join(".")
    }

    /// The definition, slow: every value at a path is put where it was.
    fn naive(paths: &[Vec<String>], event: &Value) -> Value {
        let mut answer = Value::Object(Map::new());
        for path in paths {
            let found = path.iter().try_fold(event, |value, name| value.as_object()?.get(name));
            let Some(found) = found else { continue };
            let place = path.iter().fold(&mut answer, |place, name| {
                place.as_object_mut().unwrap().entry(name.clone()).or_insert_with(|| json!({}))
            });
            *place = found.clone();
        }
        answer
    }

    proptest! {
        #[test]
        fn an_event_keeps_what_paths_name_and_nothing_else(
            event in value(),
            paths in prop::collection::vec(prop::collection::vec(name(), 1..4), 0..5),
        ) {
            let text: Vec<String> = paths.iter().map(|path| path_of(path)).collect();
            for (path, text) in paths.iter().zip(&text) {
                prop_assert_eq!(&properties(text), path);
            }
            let text: Vec<&str> = text.iter().map(String::as_str).collect();
            // Shorter paths last, so that they win over what they contain.
            let mut paths = paths;
            paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
            prop_assert_eq!(fields_of(&text, &event), naive(&paths, &event));
        }

        #[test]
        fn any_text_is_a_path(path in ".{0,40}") {
            fields_of(&[&path], &json!({ "a": { "b": 1 } }));
        }
    }
}
