//! Sliding sync as MSC4186 was merged (`POST /_matrix/client/v4/sync`): a translation of requests and answers, nothing more.
//! <https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md>

use std::collections::BTreeMap;
use std::sync::Arc;

use myelin_sync_core::config::{Element, RequiredState};
use myelin_sync_core::window::InvalidRequest;
use ruma::OwnedRoomId;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::heroes::Hero;
use crate::parts::ExtensionsAnswer;
use crate::sliding::request::{Extensions, Filters, ListBody, RoomBody, SlidingRequest};
use crate::sliding::room_answer::RoomAnswer;

/// The most room subscriptions of one request.
const MAX_SUBSCRIPTIONS: usize = 100;
/// The longest key of a list.
const MAX_KEY: usize = 255;

/// The extensions: the field of the live dialect, the names by which the merged form knows it, that of the future first.
/// A client is answered under the name that it used.
const NAMES: &[(&str, &[&str])] = &[
    ("to_device", &["to_device", "org.matrix.msc4538.to_device"]),
    ("e2ee", &["e2ee", "org.matrix.msc4543.e2ee"]),
    ("account_data", &["account_data", "org.matrix.msc4548.account_data"]),
    ("receipts", &["receipts", "org.matrix.msc4551.receipts"]),
    ("typing", &["typing", "org.matrix.msc4508.typing"]),
    ("sticky_events", &["sticky_events"]),
    ("org.matrix.msc4354.sticky_events", &["org.matrix.msc4354.sticky_events"]),
    ("io.element.msc4308.thread_subscriptions", &["io.element.msc4308.thread_subscriptions"]),
    ("org.matrix.msc4262.profiles", &["org.matrix.msc4262.profiles"]),
];

/// The body of a request. What is not known is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct MergedRequest {
    /// The connection, of several that a device may have.
    pub conn_id: Option<String>,
    /// Where the client stands; absent on a new connection.
    pub pos: Option<String>,
    /// How long to wait for something to tell, in milliseconds.
    pub timeout: Option<u64>,
    /// As which presence the request counts.
    pub set_presence: Option<String>,
    lists: BTreeMap<String, MergedList>,
    room_subscriptions: BTreeMap<String, MergedRoom>,
    extensions: BTreeMap<String, Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct MergedList {
    range: Option<(u64, u64)>,
    timeline_limit: u64,
    required_state: MergedState,
    filters: Option<Filters>,
}

#[derive(Debug, Deserialize)]
struct MergedRoom {
    timeline_limit: u64,
    required_state: MergedState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MergedState {
    include: Vec<MergedElement>,
    exclude: Vec<MergedElement>,
    lazy_members: bool,
}

#[derive(Debug, Deserialize)]
struct MergedElement {
    #[serde(rename = "type")]
    kind: Option<String>,
    state_key: Option<String>,
}

/// Why a request of the merged form can't be read.
#[derive(Debug, thiserror::Error)]
pub enum MergedError {
    /// 400 `M_INVALID_PARAM`: a limit was broken.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// 400 `M_INVALID_PARAM`: there are too many subscriptions.
    #[error("a request may have at most {MAX_SUBSCRIPTIONS} room subscriptions")]
    Subscriptions,
    /// 400 `M_INVALID_PARAM`: a list's key is no opaque identifier.
    #[error("the keys of lists have 1 to {MAX_KEY} characters, of A-Z a-z 0-9 . _ ~ -")]
    ListKey,
    /// 400 `M_BAD_JSON`: an extension's configuration has another form.
    #[error("an extension: {0}")]
    Extension(#[from] serde_json::Error),
}

/// The form that an answer is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// As clients spoke before the merge.
    #[default]
    Live,
    /// As it was merged; with the name of each extension, by its field.
    Merged(BTreeMap<&'static str, &'static str>),
}

impl MergedRequest {
    /// The same request in the words of the engine.
    ///
    /// # Errors
    /// See [`MergedError`].
    pub fn translate(self) -> Result<SlidingRequest, MergedError> {
        if self.room_subscriptions.len() > MAX_SUBSCRIPTIONS {
            return Err(MergedError::Subscriptions);
        }
        let (extensions, names) = extensions(&self.extensions)?;
        let mut lists = BTreeMap::new();
        for (key, list) in self.lists {
            let is_of_grammar =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
            if key.is_empty() || key.len() > MAX_KEY || !key.bytes().all(is_of_grammar) {
                return Err(MergedError::ListKey);
            }
            let range = list.range.unwrap_or((0, u64::MAX));
            let room = room(list.timeline_limit, &list.required_state)?;
            lists.insert(
                key,
                ListBody { ranges: vec![range], filters: list.filters, room, ..ListBody::default() },
            );
        }
        let mut room_subscriptions = BTreeMap::new();
        for (room_id, wish) in self.room_subscriptions {
            let body = room(wish.timeline_limit, &wish.required_state)?;
            // What is no room's id is no room that the user may see.
            if let Ok(room_id) = OwnedRoomId::try_from(room_id) {
                room_subscriptions.insert(room_id, body);
            }
        }
        let form = Form::Merged(names);
        Ok(SlidingRequest {
            conn_id: self.conn_id,
            txn_id: None,
            lists,
            room_subscriptions,
            extensions,
            form,
        })
    }
}

fn room(timeline_limit: u64, state: &MergedState) -> Result<RoomBody, InvalidRequest> {
    if state.include.len() + state.exclude.len() > myelin_sync_core::window::MAX_STATE_RULES {
        return Err(InvalidRequest::TooMuchState);
    }
    fn elements(elements: &[MergedElement]) -> impl Iterator<Item = Element<'_>> {
        elements.iter().map(|element| (element.kind.as_deref(), element.state_key.as_deref()))
    }
    let chosen =
        RequiredState::choose(elements(&state.include), elements(&state.exclude), state.lazy_members);
    Ok(RoomBody { timeline_limit, chosen: Some(chosen), ..RoomBody::default() })
}

/// The configurations of the extensions that are known, and the name by which each was asked for.
fn extensions(
    asked: &BTreeMap<String, Box<RawValue>>,
) -> Result<(Extensions, BTreeMap<&'static str, &'static str>), serde_json::Error> {
    let mut names = BTreeMap::new();
    let mut known: BTreeMap<&str, &RawValue> = BTreeMap::new();
    for (field, spellings) in NAMES {
        // Where a client uses several names, the first of them counts.
        let used = spellings.iter().find_map(|name| Some((*name, asked.get(*name)?)));
        if let Some((name, config)) = used {
            // The parser takes a list for an object whose fields come in order.
            if !config.get().starts_with('{') {
                return Err(serde::de::Error::custom(format!("`{name}` must be an object")));
            }
            names.insert(*field, name);
            known.insert(field, &**config);
        }
    }
    let extensions = serde_json::from_str(&serde_json::to_string(&known)?)?;
    Ok((extensions, names))
}

/// A room of an answer.
#[derive(Debug, Serialize)]
pub(crate) struct MergedRoomAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bump_stamp: Option<i64>,
    pub(super) membership: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lists: Vec<String>,
    /// `null` where the name was removed, and likewise the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avatar: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heroes: Option<Vec<Hero>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_dm: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) initial: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) expanded_timeline: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required_state: Vec<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) timeline: Vec<Arc<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prev_batch: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) num_live: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) joined_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invited_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stripped_state: Option<Vec<Box<RawValue>>>,
}

/// The rooms of an answer by their ids, each once, in either form. A map of them would take the memory of eleven for one.
#[derive(Debug)]
pub(crate) enum RoomsOfAnswer {
    Live(Vec<(String, RoomAnswer)>),
    Merged(Vec<(String, MergedRoomAnswer)>),
}

impl Serialize for RoomsOfAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Live(rooms) => serializer.collect_map(rooms.iter().map(|(id, room)| (id, room))),
            Self::Merged(rooms) => serializer.collect_map(rooms.iter().map(|(id, room)| (id, room))),
        }
    }
}

/// The extensions of an answer, by the names of either form.
#[derive(Debug)]
pub(crate) struct NamedExtensions {
    pub(super) answer: ExtensionsAnswer,
    pub(super) form: Form,
}

impl Serialize for NamedExtensions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Form::Merged(names) = &self.form else { return self.answer.serialize(serializer) };
        let raw = serde_json::to_string(&self.answer).map_err(serde::ser::Error::custom)?;
        let fields: BTreeMap<&str, &RawValue> =
            serde_json::from_str(&raw).map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (field, value) in fields {
            map.serialize_entry(names.get(field).copied().unwrap_or(field), value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::{Form, MergedError, MergedRequest};
    use crate::sliding::wishes::Wishes;

    fn read(body: serde_json::Value) -> Result<super::SlidingRequest, MergedError> {
        serde_json::from_value::<MergedRequest>(body).unwrap().translate()
    }

    #[test]
    fn the_requests_of_the_proposal_are_understood() {
        let mut request = read(json!({
            "conn_id": "main",
            "lists": { "foo-list": {
                "range": [0, 99],
                "required_state": { "include": [{ "type": "m.room.create", "state_key": "" }], "lazy_members": true },
                "timeline_limit": 10,
                "filters": { "is_dm": true, "is_invited": false },
            }, "all": { "timeline_limit": 0, "required_state": {} } },
            "room_subscriptions": {
                "!sub1:bar": { "required_state": { "include": [{}] }, "timeline_limit": 10 },
                "no room": { "required_state": {}, "timeline_limit": 1 },
            },
            "extensions": { "org.matrix.msc4508.typing": { "enabled": true }, "org.example.unknown": 7,
                "e2ee": { "enabled": true } },
        }))
        .unwrap();
        let window = request.wanted(user_id!("@me:x"), &Wishes::default()).unwrap();
        let list = window.lists.get("foo-list").unwrap();
        assert_eq!((list.ranges.as_slice(), list.config.timeline_limit), (&[(0, 99)][..], 10));
        assert_eq!((list.filter.is_dm, list.filter.is_invite), (Some(true), Some(false)));
        assert!(list.config.required_state.is_lazy());
        assert_eq!(window.lists.get("all").unwrap().ranges, [(0, u64::MAX)]);
        assert_eq!(window.subscriptions.len(), 1);
        assert!(request.extensions.typing.is_on() && request.extensions.e2ee.is_on());
        let names = [("e2ee", "e2ee"), ("typing", "org.matrix.msc4508.typing")];
        assert_eq!(request.form, Form::Merged(names.into()));
    }

    #[test]
    fn limits_are_told() {
        let list = || json!({ "timeline_limit": 1, "required_state": {} });
        let lists = |keys: &[&str]| {
            read(
                json!({ "lists": keys.iter().map(|key| ((*key).to_owned(), list())).collect::<serde_json::Map<_, _>>() }),
            )
        };
        assert!(lists(&["a", "B-9_.~"]).is_ok());
        assert!(matches!(lists(&["a b"]), Err(MergedError::ListKey)));
        assert!(matches!(lists(&[""]), Err(MergedError::ListKey)));
        let rooms: serde_json::Map<_, _> = (0..101).map(|n| (format!("!{n}:x"), list())).collect();
        assert!(matches!(read(json!({ "room_subscriptions": rooms })), Err(MergedError::Subscriptions)));
        for bad in [json!({ "enabled": 7 }), json!([]), json!(null)] {
            let typing = json!({ "extensions": { "typing": bad } });
            assert!(matches!(read(typing), Err(MergedError::Extension(_))));
        }
    }
}
