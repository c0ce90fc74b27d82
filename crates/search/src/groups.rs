//! Results by room or sender.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::query::Match;
use crate::token::{Scope, Token};

/// By what results are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    /// By their room.
    RoomId,
    /// By their sender.
    Sender,
}

/// Groups by key and value.
pub type Groups = BTreeMap<GroupKey, BTreeMap<String, Group>>;

/// The results of a page that belong together.
#[derive(Debug, Default, Serialize)]
pub struct Group {
    /// Where the next page of this group starts; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// The place of the group among the others, by its first result.
    pub order: usize,
    /// The event ids of its results.
    pub results: Vec<String>,
}

/// Groups the page, the first `page` of the matches. `more` says that there may be results beyond all matches.
pub(crate) fn groups(keys: &[GroupKey], matches: &[Match], page: usize, count: usize, more: bool) -> Groups {
    let (shown, rest) = matches.split_at(page.min(matches.len()));
    let mut groups = Groups::new();
    for key in keys {
        let mut of_key: BTreeMap<String, Group> = BTreeMap::new();
        let mut last: BTreeMap<String, &Match> = BTreeMap::new();
        for found in shown {
            let value = value(*key, found);
            let order = of_key.len() + 1;
            let group = of_key.entry(value.clone()).or_insert_with(|| Group { order, ..Group::default() });
            group.results.push(found.event.event_id.to_string());
            last.insert(value, found);
        }
        for (value, group) in &mut of_key {
            let goes_on = more || rest.iter().any(|found| self::value(*key, found) == *value);
            let last = last.get(value).filter(|_| goes_on);
            group.next_batch = last.map(|last| token(*key, last, count).to_string());
        }
        groups.insert(*key, of_key);
    }
    groups
}

fn value(key: GroupKey, found: &Match) -> String {
    match key {
        GroupKey::RoomId => found.room_id.to_string(),
        GroupKey::Sender => found.event.sender.to_string(),
    }
}

fn token(key: GroupKey, last: &Match, count: usize) -> Token {
    let scope = match key {
        GroupKey::RoomId => Scope::Room(last.room_id.clone()),
        GroupKey::Sender => Scope::Sender(last.event.sender.clone()),
    };
    Token { rank: last.candidate.rank, pos: last.event.pos, count, scope }
}
