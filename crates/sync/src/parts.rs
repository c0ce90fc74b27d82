//! What goes with an answer besides rooms: account data, receipts, typing, messages between devices.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use myelin_model::{Pos, RoomNid};
use myelin_store::schema::e2ee::ToDevice as Message;
use myelin_store::schema::notify::{PUSH_RULES, PushRules, push_rules_content};
use myelin_store::schema::users::{AccountData, GLOBAL, Receipt};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::event_filter::EventFilter;
use myelin_sync_core::token::InboxToken;
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::devices::KeyCounts;
use crate::sliding::profiles::ProfilesAnswer;
use crate::threads::ThreadsAnswer;

/// The most account data, or receipts, that one read takes.
const MOST: usize = 100_000;
/// Receipts of others that go with a room when it is first shown, beyond those of the events shown.
const MOST_RECEIPTS: usize = 1000;

/// The extensions of an answer.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ExtensionsAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_device: Option<ToDeviceAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) e2ee: Option<E2eeAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account_data: Option<AccountDataAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipts: Option<RoomsAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) typing: Option<RoomsAnswer>,
    /// By the name that it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sticky_events: Option<StickyAnswer>,
    #[serde(rename = "org.matrix.msc4354.sticky_events", skip_serializing_if = "Option::is_none")]
    pub(crate) unstable_sticky_events: Option<StickyAnswer>,
    #[serde(rename = "io.element.msc4308.thread_subscriptions")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<ThreadsAnswer>,
    #[serde(rename = "org.matrix.msc4262.profiles")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profiles: Option<ProfilesAnswer>,
}

/// Sticky events (MSC4480).
#[derive(Debug, Serialize)]
pub(crate) struct StickyAnswer {
    pub(crate) next_batch: String,
    pub(crate) rooms: BTreeMap<String, StickyRoomAnswer>,
    /// There is more to tell at once.
    #[serde(skip)]
    pub(crate) more: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct StickyRoomAnswer {
    pub(crate) events: Vec<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ToDeviceAnswer {
    next_batch: String,
    pub(crate) events: Vec<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct E2eeAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_lists: Option<DeviceListsAnswer>,
    #[serde(flatten)]
    pub(crate) counts: KeyCounts,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeviceListsAnswer {
    pub(crate) changed: Vec<OwnedUserId>,
    pub(crate) left: Vec<OwnedUserId>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct AccountDataAnswer {
    pub(crate) global: Vec<Box<RawValue>>,
    pub(crate) rooms: BTreeMap<String, Vec<Box<RawValue>>>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct RoomsAnswer {
    pub(crate) rooms: BTreeMap<String, Box<RawValue>>,
}

impl ExtensionsAnswer {
    /// Fills in sticky events, by the name that they were asked for.
    pub(crate) fn set_sticky(&mut self, answer: Option<StickyAnswer>, stable: bool) {
        if stable {
            self.sticky_events = answer;
        } else {
            self.unstable_sticky_events = answer;
        }
    }

    /// Whether a waiting client has any of it to be woken for. Key counts are looked at by the connection.
    pub(crate) fn is_news(&self) -> bool {
        let lists = self.e2ee.as_ref().and_then(|e2ee| e2ee.device_lists.as_ref());
        self.to_device.as_ref().is_some_and(|inbox| !inbox.events.is_empty())
            || lists.is_some_and(|lists| !lists.changed.is_empty() || !lists.left.is_empty())
            || self
                .account_data
                .as_ref()
                .is_some_and(|data| !data.global.is_empty() || !data.rooms.is_empty())
            || self.receipts.as_ref().is_some_and(|receipts| !receipts.rooms.is_empty())
            || self.typing.as_ref().is_some_and(|typing| !typing.rooms.is_empty())
            || [&self.sticky_events, &self.unstable_sticky_events]
                .into_iter()
                .flatten()
                .any(|sticky| sticky.more || !sticky.rooms.is_empty())
            || self.threads.is_some()
            || self.profiles.is_some()
    }
}

/// An event that has nothing but a type and a content.
#[derive(Serialize)]
struct Bare<'a, C: ?Sized> {
    #[serde(rename = "type")]
    kind: &'a str,
    content: &'a C,
}

pub(crate) fn bare<C: Serialize + ?Sized>(kind: &str, content: &C) -> Option<Box<RawValue>> {
    to_raw_value(&Bare { kind, content }).ok()
}

/// Account data as clients see it; what is not JSON can't have been stored and is left out.
pub(crate) fn account_data_event(kind: &str, content: &Bytes) -> Option<Box<RawValue>> {
    bare(kind, serde_json::from_slice::<&RawValue>(content).ok()?)
}

#[derive(Serialize)]
struct MessageForm<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sender: &'a UserId,
    content: &'a RawValue,
}

/// A message between devices as clients see it.
pub(crate) fn to_device_event(message: &Message) -> Option<Box<RawValue>> {
    let content = serde_json::from_slice::<&RawValue>(&message.content).ok()?;
    to_raw_value(&MessageForm { kind: &message.kind, sender: &message.sender, content }).ok()
}

/// The messages after where the client stands. The token names the last of them.
pub(crate) fn to_device_answer(since: Pos, messages: &[Message]) -> ToDeviceAnswer {
    let last = messages.last().map_or(since, |message| message.pos);
    ToDeviceAnswer {
        next_batch: InboxToken(last.get()).to_string(),
        events: messages.iter().filter_map(to_device_event).collect(),
    }
}

/// All global account data, and the push rules. Content `{}` says that there is none and is not shown.
pub(crate) async fn all_global(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
) -> Result<Vec<Box<RawValue>>, ReadError> {
    let scan = Scan::prefix::<AccountData>((user_id.to_owned(), GLOBAL), MOST);
    let mut rows = snapshot.scan::<AccountData>(scan).await?;
    rows.retain(|row| &*row.content != b"{}");
    let mut events: Vec<_> =
        rows.iter().filter_map(|row| account_data_event(&row.kind, &row.content)).collect();
    events.extend(account_data_event(PUSH_RULES, &push_rules_content(snapshot, user_id).await?));
    Ok(events)
}

/// Account data that changed after a position, push rules among them, by room (global is [`GLOBAL`]).
pub(crate) async fn changed_account_data(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    since: i64,
) -> Result<HashMap<RoomNid, Vec<Box<RawValue>>>, ReadError> {
    let scan = Scan::index::<AccountData>(AccountData::BY_CHANGE, (user_id.to_owned(),), MOST);
    let rows = snapshot.scan::<AccountData>(scan.after((Pos::new(since),))).await?;
    let mut found = by_room(&rows);
    let rules = snapshot.get::<PushRules>(&(user_id.to_owned(),)).await?;
    if let Some(rules) = rules.filter(|rules| rules.changed.get() > since) {
        found.entry(GLOBAL).or_default().extend(account_data_event(PUSH_RULES, &rules.content));
    }
    Ok(found)
}

/// All account data of these rooms. Content `{}` says that there is none and is not shown.
pub(crate) async fn all_of_rooms(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    rooms: &[RoomNid],
) -> Result<HashMap<RoomNid, Vec<Box<RawValue>>>, ReadError> {
    let scan = |room: &RoomNid| Scan::prefix::<AccountData>((user_id.to_owned(), *room), MOST);
    let rows = snapshot.scan_all::<AccountData>(rooms.iter().map(scan).collect()).await?;
    let rows: Vec<AccountData> = rows.into_iter().flatten().filter(|row| &*row.content != b"{}").collect();
    Ok(by_room(&rows))
}

fn by_room(rows: &[AccountData]) -> HashMap<RoomNid, Vec<Box<RawValue>>> {
    let mut found: HashMap<RoomNid, Vec<Box<RawValue>>> = HashMap::new();
    for row in rows {
        if let Some(event) = account_data_event(&row.kind, &row.content) {
            found.entry(row.room).or_default().push(event);
        }
    }
    found
}

/// Those events whose type passes.
pub(crate) fn filtered(events: Vec<Box<RawValue>>, filter: &EventFilter) -> Vec<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    if filter.is_open() {
        return events;
    }
    let passes = |event: &RawValue| {
        serde_json::from_str::<Typed<'_>>(event.get()).is_ok_and(|typed| filter.allows_type(&typed.kind))
    };
    events.into_iter().filter(|event| passes(event)).collect()
}

/// Which receipts of a room are wanted.
pub(crate) enum ReceiptsWanted {
    /// The first time: those for these events, and all of the user's own (MSC4551, "Initial receipts").
    Initial(HashSet<String>),
    /// Those for these events, and what changed after a position.
    Shown(HashSet<String>, i64),
    /// The latest of everybody, and all of the user's own.
    Latest,
    /// Those that changed after a position.
    After(i64),
}

/// `m.receipt` content of each room that has any. Private receipts are shown to their owner only.
pub(crate) async fn receipts(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    wanted: &[(RoomNid, ReceiptsWanted)],
) -> Result<HashMap<RoomNid, ReceiptContent>, ReadError> {
    let mut scans = Vec::with_capacity(wanted.len() * 2);
    for (room, wanted) in wanted {
        let by_change = |limit| Scan::index::<Receipt>(Receipt::BY_CHANGE, (*room,), limit);
        match wanted {
            ReceiptsWanted::Initial(_) | ReceiptsWanted::Latest => {
                scans.push(by_change(MOST_RECEIPTS).backward());
                scans.push(Scan::prefix::<Receipt>((*room, user_id.to_owned()), MOST_RECEIPTS));
            }
            ReceiptsWanted::Shown(_, since) => {
                scans.push(by_change(MOST_RECEIPTS).backward());
                scans.push(by_change(MOST).after((Pos::new(*since),)));
            }
            ReceiptsWanted::After(since) => {
                scans.push(by_change(MOST).after((Pos::new(*since),)));
                scans.push(by_change(0));
            }
        }
    }
    if scans.is_empty() {
        return Ok(HashMap::new());
    }
    let found = snapshot.scan_all::<Receipt>(scans).await?;
    let mut contents = HashMap::new();
    for ((room, wanted), rows) in wanted.iter().zip(found.chunks(2)) {
        let shown = |row: &&Receipt| {
            let mine = row.user_id == user_id;
            let fits = match wanted {
                ReceiptsWanted::Initial(events) => mine || events.contains(row.event_id.as_str()),
                ReceiptsWanted::Shown(events, since) => {
                    row.changed.get() > *since || events.contains(row.event_id.as_str())
                }
                ReceiptsWanted::Latest | ReceiptsWanted::After(_) => true,
            };
            fits && (mine || row.kind != "m.read.private")
        };
        let content = receipt_content(rows.iter().flatten().filter(shown));
        if !content.is_empty() {
            contents.insert(*room, content);
        }
    }
    Ok(contents)
}

/// Event id, kind of receipt, user.
pub(crate) type ReceiptContent = BTreeMap<String, BTreeMap<String, BTreeMap<String, ReceiptData>>>;

#[derive(Debug, Serialize)]
pub(crate) struct ReceiptData {
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<String>,
}

fn receipt_content<'r>(rows: impl Iterator<Item = &'r Receipt>) -> ReceiptContent {
    let mut content = ReceiptContent::new();
    for row in rows {
        let thread_id = (!row.thread.is_empty()).then(|| row.thread.clone());
        let of_event = content.entry(row.event_id.to_string()).or_default();
        let users = of_event.entry(row.kind.clone()).or_default();
        users.insert(row.user_id.to_string(), ReceiptData { ts: row.at, thread_id });
    }
    content
}

#[derive(Serialize)]
struct TypingContent<'a> {
    user_ids: &'a [OwnedUserId],
}

/// An `m.typing` event.
pub(crate) fn typing_event(users: &[OwnedUserId]) -> Option<Box<RawValue>> {
    bare("m.typing", &TypingContent { user_ids: users })
}
