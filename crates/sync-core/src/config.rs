//! What a client wants of a room: how much timeline, which state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Stands for every type or every state key.
const ANY: &str = "*";
const MEMBER: &str = "m.room.member";

/// The state a client wants of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequiredState {
    rules: Rules,
    /// The members that the timeline needs (`$LAZY`), and none else but those the rules name.
    lazy: bool,
    /// Wishes with exceptions; each adds to the others.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    excepting: BTreeSet<Excepting>,
}

/// A wish for state but for some of it: that is what `exclude` says in the merged form of MSC4186.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Excepting {
    wanted: Rules,
    lazy: bool,
    unwanted: Rules,
}

/// State keys by event type; either may be `*`.
type Rules = BTreeMap<String, BTreeSet<String>>;

/// A type and a state key, each of which may be left open (`RequiredStateElement` of MSC4186).
pub type Element<'a> = (Option<&'a str>, Option<&'a str>);

/// One way to find state that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateQuery {
    /// All state of the room.
    Everything,
    /// All state of one type.
    Type(String),
    /// One entry.
    Entry(String, String),
}

impl RequiredState {
    /// Reads `required_state` of the live dialect: pairs of type and state key, where the key may be `$ME`, `$LAZY`.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, own_user_id: &str) -> Self {
        let mut state = Self::default();
        for (kind, key) in pairs {
            match key {
                "$LAZY" if kind == MEMBER => state.lazy = true,
                // Only members load lazily.
                "$LAZY" => {}
                "$ME" => state.add(kind, own_user_id),
                key => state.add(kind, key),
            }
        }
        state.normalised()
    }

    /// Reads the merged form of `required_state`: what matches `include` and nothing of `exclude`.
    pub fn choose<'a>(
        include: impl IntoIterator<Item = Element<'a>>,
        exclude: impl IntoIterator<Item = Element<'a>>,
        lazy_members: bool,
    ) -> Self {
        let (wanted, unwanted) = (rules(include), rules(exclude));
        let chosen = Self { rules: wanted, lazy: lazy_members, excepting: BTreeSet::new() }.normalised();
        if unwanted.is_empty() || chosen.rules.is_empty() {
            return chosen;
        }
        // What is kept apart must not lose its exceptions when it is united with others.
        let Self { rules, lazy, .. } = chosen;
        let excepting = BTreeSet::from([Excepting { wanted: rules, lazy, unwanted }]);
        Self { rules: Rules::new(), lazy: lazy_members, excepting }
    }

    fn add(&mut self, kind: &str, key: &str) {
        self.rules.entry(kind.to_owned()).or_default().insert(key.to_owned());
    }

    /// Drops what a wildcard covers, so that equal wishes have equal forms.
    fn normalised(mut self) -> Self {
        for (kind, keys) in &mut self.rules {
            // A key of any type counts for members even where `*` does not, so it stays.
            if keys.contains(ANY) && kind != ANY {
                keys.retain(|key| key == ANY);
            }
        }
        if self.rules.get(MEMBER).is_some_and(|keys| keys.contains(ANY)) {
            self.lazy = false;
        }
        self
    }

    /// What either wants. Lazy only where neither wants all members.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut both = Self { lazy: self.lazy || other.lazy, ..self.clone() };
        for (kind, keys) in &other.rules {
            both.rules.entry(kind.clone()).or_default().extend(keys.iter().cloned());
        }
        both.excepting.extend(other.excepting.iter().cloned());
        let all_members = |state: &Self| !state.lazy && state.wants(MEMBER, "\0");
        if all_members(self) || all_members(other) {
            both.add(MEMBER, ANY);
        }
        both.normalised()
    }

    /// Whether members load lazily.
    #[must_use]
    pub const fn is_lazy(&self) -> bool {
        self.lazy
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.excepting.is_empty() && !self.lazy
    }

    /// Whether the entry is wanted in any case. Members that the timeline needs come on top where it is lazy.
    #[must_use]
    pub fn wants(&self, kind: &str, key: &str) -> bool {
        rules_want(&self.rules, self.lazy, kind, key)
            || self.excepting.iter().any(|wish| wish.wants(kind, key))
    }

    /// How to find everything wanted; what is found twice or is an exception is for the caller to see to.
    /// [`StateQuery::Everything`] leaves out members where they load lazily.
    #[must_use]
    pub fn queries(&self) -> Vec<StateQuery> {
        let mut queries = Vec::new();
        let all = self.excepting.iter().map(|wish| &wish.wanted).chain([&self.rules]);
        for rules in all {
            self.queries_of(rules, &mut queries);
        }
        if !self.excepting.is_empty() {
            queries.sort_unstable();
            queries.dedup();
        }
        queries
    }

    fn queries_of(&self, rules: &Rules, queries: &mut Vec<StateQuery>) {
        if rules.contains_key(ANY) {
            queries.push(StateQuery::Everything);
            // Everything does not include members where they load lazily, but for those named.
            let named = [MEMBER, ANY].iter().filter_map(|kind| rules.get(*kind)).flatten();
            let named: BTreeSet<&String> = named.filter(|key| *key != ANY && self.lazy).collect();
            queries.extend(named.into_iter().map(|key| StateQuery::Entry(MEMBER.to_owned(), key.clone())));
            return;
        }
        for (kind, keys) in rules {
            if keys.contains(ANY) {
                queries.push(StateQuery::Type(kind.clone()));
            } else {
                queries.extend(keys.iter().map(|key| StateQuery::Entry(kind.clone(), key.clone())));
            }
        }
    }

    /// What this wants and `old` did not, as a wish of its own; `None` if `old` wanted it all.
    #[must_use]
    pub fn beyond(&self, old: &Self) -> Option<Self> {
        let all_members = |state: &Self| !state.lazy && state.wants(MEMBER, "\0");
        let mut more = Self {
            rules: Rules::new(),
            lazy: self.lazy && !old.lazy && !old.wants(MEMBER, "\0"),
            excepting: self.excepting.difference(&old.excepting).cloned().collect(),
        };
        for (kind, keys) in &self.rules {
            for key in keys {
                let known = match (kind.as_str(), key.as_str()) {
                    (kind, ANY) => old.wants_all(kind),
                    (ANY, key) => old
                        .rules
                        .get(ANY)
                        .is_some_and(|keys| keys.contains(key) || (keys.contains(ANY) && !old.lazy)),
                    (kind, key) => old.wants(kind, key),
                };
                if !known {
                    more.add(kind, key);
                }
            }
        }
        // All types with members lazy, and then members too: the difference is the members.
        if old.lazy && all_members(self) {
            more.add(MEMBER, ANY);
        }
        (!more.is_empty()).then(|| more.normalised())
    }

    fn wants_all(&self, kind: &str) -> bool {
        let whole = |kind: &str| self.rules.get(kind).is_some_and(|keys| keys.contains(ANY));
        whole(kind) || (kind != ANY && whole(ANY) && !(self.lazy && kind == MEMBER))
    }
}

impl Excepting {
    fn wants(&self, kind: &str, key: &str) -> bool {
        rules_want(&self.wanted, self.lazy, kind, key) && !matches(&self.unwanted, kind, key)
    }
}

fn rules<'a>(elements: impl IntoIterator<Item = Element<'a>>) -> Rules {
    let mut rules = Rules::new();
    for (kind, key) in elements {
        let keys = rules.entry(kind.unwrap_or(ANY).to_owned()).or_default();
        keys.insert(key.unwrap_or(ANY).to_owned());
    }
    rules
}

fn matches(rules: &Rules, kind: &str, key: &str) -> bool {
    let named = |keys: &BTreeSet<String>| keys.contains(ANY) || keys.contains(key);
    rules.get(kind).is_some_and(named) || rules.get(ANY).is_some_and(named)
}

fn rules_want(rules: &Rules, lazy: bool, kind: &str, key: &str) -> bool {
    if lazy && kind == MEMBER {
        // `*` over all types does not mean all members where members load lazily.
        return [MEMBER, ANY].iter().any(|kind| rules.get(*kind).is_some_and(|keys| keys.contains(key)));
    }
    matches(rules, kind, key)
}

/// What a client wants of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoomConfig {
    /// At most so many events of the timeline.
    pub timeline_limit: u32,
    /// Which state.
    pub required_state: RequiredState,
}

impl RoomConfig {
    /// What either wants (MSC4186, "Combining room configs").
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            timeline_limit: self.timeline_limit.max(other.timeline_limit),
            required_state: self.required_state.union(&other.required_state),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RequiredState, StateQuery};

    const ME: &str = "@me:x";

    fn state(pairs: &[(&str, &str)]) -> RequiredState {
        RequiredState::parse(pairs.iter().copied(), ME)
    }

    #[test]
    fn special_keys_mean_what_clients_think() {
        let wish = state(&[("m.room.member", "$LAZY"), ("m.room.member", "$ME"), ("m.space.child", "*")]);
        assert!(wish.is_lazy());
        assert!(wish.wants("m.room.member", ME));
        assert!(!wish.wants("m.room.member", "@you:x"));
        assert!(wish.wants("m.space.child", "!anything"));
        assert!(!wish.wants("m.room.name", ""));
    }

    #[test]
    fn everything_but_lazy_members_is_not_all_members() {
        let wish = state(&[("*", "*"), ("m.room.member", "$LAZY")]);
        assert!(wish.wants("m.room.topic", ""));
        assert!(!wish.wants("m.room.member", "@you:x"));
        assert_eq!(wish.queries(), [StateQuery::Everything]);
        let all = state(&[("*", "*")]);
        assert!(!wish.union(&all).is_lazy(), "one of them wants all members");
        assert!(all.beyond(&wish).is_some_and(|more| more.wants("m.room.member", "@you:x")));
    }

    #[test]
    fn only_what_is_new_is_beyond_the_old_wish() {
        let old = state(&[("m.room.name", ""), ("m.space.child", "*")]);
        assert_eq!(old.beyond(&old), None);
        assert_eq!(state(&[("m.space.child", "!a")]).beyond(&old), None);
        let more = state(&[("m.room.name", ""), ("m.room.topic", "")]).beyond(&old);
        assert_eq!(more, Some(state(&[("m.room.topic", "")])));
        assert!(state(&[("m.room.member", "$LAZY")]).beyond(&old).is_some_and(|more| more.is_lazy()));
    }

    #[test]
    fn what_is_excluded_is_not_wanted_but_by_another_wish() {
        let create = (Some("m.room.create"), Some(""));
        let all_but = RequiredState::choose([(None, None)], [create], false);
        assert!(!all_but.wants("m.room.create", "") && all_but.wants("m.room.member", "@you:x"));
        assert_eq!(all_but.queries(), [StateQuery::Everything]);
        let both = all_but.union(&state(&[("m.room.create", "")]));
        assert!(both.wants("m.room.create", "") && both.wants("m.room.topic", ""));
        assert_eq!(both.beyond(&both), None);
        assert!(both.beyond(&all_but).is_some_and(|more| more.wants("m.room.create", "")));
        let of_any_type = RequiredState::choose([(None, Some("x"))], [], false);
        assert!(of_any_type.wants("a", "x") && !of_any_type.wants("a", "y"));
        let lazy = RequiredState::choose([(None, None)], [create], true);
        assert!(lazy.is_lazy() && !lazy.wants("m.room.member", "@you:x") && lazy.wants("m.room.topic", ""));
        assert!(!lazy.union(&all_but).is_lazy(), "one of them wants all members");
    }

    fn any_state() -> impl Strategy<Value = RequiredState> {
        let kind = prop::sample::select(vec!["*", "m.room.member", "m.room.name", "a"]);
        let key = prop::sample::select(vec!["*", "", "$ME", "$LAZY", "@you:x"]);
        let live = prop::collection::vec((kind, key), 0..6).prop_map(|pairs| state(&pairs));
        let kind = prop::option::of(prop::sample::select(vec!["m.room.member", "m.room.name", "a"]));
        let key = prop::option::of(prop::sample::select(vec!["", ME, "@you:x"]));
        let elements = prop::collection::vec((kind, key), 0..4);
        let merged = (elements.clone(), elements, any::<bool>())
            .prop_map(|(include, exclude, lazy)| RequiredState::choose(include, exclude, lazy));
        prop_oneof![live, merged]
    }

    proptest! {
        #[test]
        fn a_union_wants_what_either_wants_and_what_is_beyond_it_is_missing_before(
            a in any_state(), b in any_state(),
        ) {
            let both = a.union(&b);
            let grown = both.beyond(&a);
            for kind in ["m.room.member", "m.room.name", "a", "z"] {
                for key in ["", ME, "@you:x", "q"] {
                    let wanted = a.wants(kind, key) || b.wants(kind, key);
                    prop_assert!(!wanted || both.wants(kind, key), "{} {}", kind, key);
                    let told = a.wants(kind, key) || grown.as_ref().is_some_and(|more| more.wants(kind, key));
                    prop_assert!(!both.wants(kind, key) || told, "{} {} is never sent", kind, key);
                }
            }
            prop_assert_eq!(both.beyond(&both), None);
        }
    }
}
