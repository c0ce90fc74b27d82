//! What a user may see of a room's history (client-server API, "Room history visibility").

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::rooms::{Event, EventStatus, Member, Membership, StateVersion};
use myelin_store::schema::users::{AccountData, GLOBAL};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::load::contents;

/// The most changes of a membership or of a history visibility that one call follows, per room. Events later than the
/// last change followed are hidden rather than guessed at.
const MOST_CHANGES: usize = 4096;

/// On whose behalf events are read.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Who sees them.
    pub user_id: OwnedUserId,
    /// The session that asks: its own events carry their transaction ids.
    pub session: Option<i64>,
    /// The time, in milliseconds since 1970, by which ages are told.
    pub now: i64,
}

/// How an event stands to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Whether they may see it.
    pub visible: bool,
    /// Their membership when it was sent (MSC4115).
    pub membership: Membership,
}

/// Whether the user may see each event, with history visibility, event status, retention and ignored senders accounted for.
///
/// # Errors
/// When the store can't be read.
pub async fn visible(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    events: &[Event],
) -> Result<Vec<bool>, ReadError> {
    let views = views(snapshot, viewer, events).await?;
    if views.iter().all(|view| !view.visible) {
        return Ok(vec![false; events.len()]);
    }
    let ignored = ignored_users(snapshot, &viewer.user_id).await?;
    let shown = |(event, view): (&Event, View)| {
        // State of ignored senders stays: without it the client's picture of the room would be wrong.
        view.visible && (event.state_key.is_some() || !ignored.contains(&event.sender))
    };
    Ok(events.iter().zip(views).map(shown).collect())
}

/// The users that this user ignores (`m.ignored_user_list`), never themselves.
///
/// # Errors
/// When the store can't be read.
pub async fn ignored_users(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
) -> Result<HashSet<OwnedUserId>, ReadError> {
    #[derive(Deserialize)]
    struct Content {
        ignored_users: HashMap<OwnedUserId, IgnoredAny>,
    }
    let key = (user_id.to_owned(), GLOBAL, "m.ignored_user_list".to_owned());
    let Some(row) = snapshot.get::<AccountData>(&key).await? else { return Ok(HashSet::new()) };
    let content = serde_json::from_slice::<Content>(&row.content);
    let ignored = content.map(|content| content.ignored_users).unwrap_or_default();
    Ok(ignored.into_keys().filter(|ignored| ignored != user_id).collect())
}

/// How each event stands to the user. Events of any number of rooms may be mixed. What is past its retention (MSC1763) is
/// not visible, whether it was deleted yet or not.
///
/// # Errors
/// When the store can't be read.
pub async fn views<E: Borrow<Event> + Sync>(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    events: &[E],
) -> Result<Vec<View>, ReadError> {
    let user_id = &*viewer.user_id;
    let events: Vec<&Event> = events.iter().map(Borrow::borrow).collect();
    let mut rooms: Vec<RoomNid> = events.iter().map(|event| event.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let keys: Vec<_> = rooms.iter().map(|room| (*room, user_id.to_owned())).collect();
    let members = snapshot.get_all::<Member>(&keys).await?;
    let mut histories: HashMap<RoomNid, History> =
        rooms.iter().zip(members).map(|(room, member)| (*room, History::new(member.as_ref()))).collect();
    read_intervals(snapshot, user_id, &events, &mut histories).await?;
    let expiry = Expiry::read(snapshot, &rooms, viewer.now).await?;
    let unknown = View { visible: false, membership: Membership::Leave };
    let view = |event: &&Event| {
        let view = histories.get(&event.room).map_or(unknown, |history| history.view(user_id, event));
        View { visible: view.visible && !expiry.has_taken(event), ..view }
    };
    Ok(events.iter().map(view).collect())
}

/// What decides a user's view of one room.
struct History {
    /// Joined without a break from this order until now.
    joined_since: Option<i64>,
    /// The order of the last join, if they ever joined.
    joined_at: Option<i64>,
    /// Changes of their membership by order, ascending; the last before the events asked about comes first.
    memberships: Vec<(i64, Membership)>,
    visibilities: Vec<(i64, Visibility)>,
    /// Nothing is known of what comes after this order.
    known_until: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    Joined,
    Invited,
    Shared,
    WorldReadable,
}

impl Visibility {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("joined") => Self::Joined,
            Some("invited") => Self::Invited,
            Some("world_readable") => Self::WorldReadable,
            // Absent or unknown means `shared`.
            _ => Self::Shared,
        }
    }
}

/// The value in force at an order: before the change made there, and after it.
fn around<T: Copy>(changes: &[(i64, T)], order: i64, default: T) -> (T, T) {
    let until = |end: usize| end.checked_sub(1).and_then(|last| changes.get(last)).map_or(default, |c| c.1);
    let before = changes.partition_point(|(at, _)| *at < order);
    let after = changes.partition_point(|(at, _)| *at <= order);
    (until(before), until(after))
}

impl History {
    fn new(member: Option<&Member>) -> Self {
        let joined_at = member.and_then(|member| member.joined_at);
        let is_joined = member.is_some_and(|member| member.membership == Membership::Join);
        Self {
            joined_since: joined_at.filter(|_| is_joined),
            joined_at,
            memberships: Vec::new(),
            visibilities: Vec::new(),
            known_until: i64::MAX,
        }
    }

    /// Whether the event needs no interval: the user has been in the room ever since.
    fn is_plain(&self, event: &Event) -> bool {
        event.order.zip(self.joined_since).is_some_and(|(order, since)| order >= since)
    }

    fn view(&self, user_id: &UserId, event: &Event) -> View {
        let in_room = matches!(event.status, EventStatus::Accepted | EventStatus::Partial);
        let own = event.kind == "m.room.member" && event.state_key.as_deref() == Some(user_id.as_str());
        let Some(order) = event.order else {
            // Without a place in the timeline; of these only one's own invite, and what follows it, is one's to see.
            let known = !matches!(event.status, EventStatus::Rejected | EventStatus::SoftFailed);
            return View { visible: own && known, membership: Membership::Leave };
        };
        if self.is_plain(event) {
            return View { visible: in_room, membership: Membership::Join };
        }
        let (_, after) = around(&self.memberships, order, Membership::Leave);
        let (old, new) = around(&self.visibilities, order, Visibility::Shared);
        // One's own member events are one's to know; a change of visibility counts by either visibility.
        let allowed = [old, new].iter().any(|visibility| self.allows(after, *visibility, order));
        let visible = own || allowed;
        let known = order <= self.known_until;
        View { visible: visible && in_room && known, membership: after }
    }

    fn allows(&self, membership: Membership, visibility: Visibility, order: i64) -> bool {
        let joined_later = self.joined_at.is_some_and(|joined_at| joined_at > order);
        match visibility {
            Visibility::WorldReadable => true,
            Visibility::Shared => membership == Membership::Join || joined_later,
            Visibility::Invited => matches!(membership, Membership::Join | Membership::Invite),
            Visibility::Joined => membership == Membership::Join,
        }
    }
}

#[derive(Deserialize)]
struct Stored {
    content: StoredContent,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredContent {
    membership: Option<String>,
    history_visibility: Option<String>,
}

fn membership_of(json: Option<&Bytes>) -> Membership {
    let content = json.and_then(|json| serde_json::from_slice::<Stored>(json).ok());
    match content.and_then(|stored| stored.content.membership).as_deref() {
        Some("join") => Membership::Join,
        Some("invite") => Membership::Invite,
        Some("knock") => Membership::Knock,
        Some("ban") => Membership::Ban,
        _ => Membership::Leave,
    }
}

fn visibility_of(json: Option<&Bytes>) -> Visibility {
    let content = json.and_then(|json| serde_json::from_slice::<Stored>(json).ok());
    Visibility::parse(content.and_then(|stored| stored.content.history_visibility).as_deref())
}

/// Fills in the intervals of the rooms where an event lies before the user's latest, unbroken time in the room.
async fn read_intervals(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    events: &[&Event],
    histories: &mut HashMap<RoomNid, History>,
) -> Result<(), ReadError> {
    let mut spans: HashMap<RoomNid, (i64, i64)> = HashMap::new();
    for event in events {
        let Some(order) = event.order else { continue };
        if histories.get(&event.room).is_some_and(|history| !history.is_plain(event)) {
            let span = spans.entry(event.room).or_insert((order, order));
            *span = (span.0.min(order), span.1.max(order));
        }
    }
    if spans.is_empty() {
        return Ok(());
    }
    let mut scans = Vec::with_capacity(spans.len() * 4);
    let spans: Vec<_> = spans.into_iter().collect();
    for (room, (first, last)) in &spans {
        for (kind, key) in [("m.room.member", user_id.as_str()), ("m.room.history_visibility", "")] {
            let changes =
                |limit| Scan::prefix::<StateVersion>((*room, 0, kind.to_owned(), key.to_owned()), limit);
            scans.push(changes(1).before((*first,)).backward());
            scans.push(changes(MOST_CHANGES).from((*first,)).up_to((*last,)));
        }
    }
    let found = snapshot.scan_all::<StateVersion>(scans).await?;
    let nids: Vec<EventNid> = found.iter().flatten().map(|version| version.event).collect();
    let contents = contents(snapshot, &nids).await?;
    for ((room, _), found) in spans.iter().zip(found.chunks(4)) {
        let (Some(history), [m0, m1, v0, v1]) = (histories.get_mut(room), found) else { continue };
        for full in [m1, v1].into_iter().filter(|rows| rows.len() == MOST_CHANGES) {
            let last = full.last().map_or(0, |version| version.version);
            history.known_until = history.known_until.min(last);
        }
        let at = |version: &StateVersion| (version.version, contents.get(&version.event));
        history.memberships =
            m0.iter().chain(m1).map(at).map(|(order, json)| (order, membership_of(json))).collect();
        history.visibilities =
            v0.iter().chain(v1).map(at).map(|(order, json)| (order, visibility_of(json))).collect();
    }
    Ok(())
}
