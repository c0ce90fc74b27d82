//! Unread counts against a model that keeps the list of what each user has not read.

mod ruled;
mod threads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use myelin_model::{EventNid, Fence, Pos, Requester, RoomNid, Shard};
use myelin_pdu::{Pdu, RoomVersionId};
use myelin_runtime::Env;
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::notify::{
    Counts, LiveEnd, Notification, ThreadBase, ThreadStep, Unread, UnreadBase, unread,
};
use myelin_store::schema::rooms::{
    Event, EventStatus, Member, Membership, Relation, Room, RoomById, RoomHead,
};
use myelin_store::{Batch, Engine, Identity, Keyspace, Reader, Scan, Snapshot};
use proptest::prelude::*;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};

use crate::verdict::Others;
use crate::{NewEvent, NewRule, Notifies, Notify, Part, ReadTo, Relative, Schemes, SubscriptionError};

const ROOM: RoomNid = RoomNid(1);
const SPACING: i64 = 16;

/// What a user sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Encrypted,
    Notice,
    Reaction,
    Edit,
    Topic,
    Tombstone,
}

#[derive(Clone, Debug)]
struct Sending {
    sender: usize,
    kind: Kind,
    /// The event that is the root of its thread, by its number.
    thread: Option<usize>,
    mentions: Vec<usize>,
    mentions_room: bool,
    keyword: bool,
}

/// What a receipt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    All,
    Main,
    /// The thread whose root is the event with this number.
    Thread(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Send(Sending),
    Member {
        user: usize,
        membership: Membership,
    },
    Read {
        user: usize,
        event: usize,
        part: Read,
    },
    /// A room rule that silences the room, made or deleted.
    Mute {
        user: usize,
        muted: bool,
    },
    /// Subscribes to a thread, by the user's wish or because of its newest event.
    Subscribe {
        user: usize,
        root: usize,
        automatic: bool,
    },
    Unsubscribe {
        user: usize,
        root: usize,
    },
    /// A content rule for the word that [`Sending::keyword`] puts into a message, made or deleted.
    Keyword {
        user: usize,
        set: bool,
    },
}

/// An event as the model sees it.
#[derive(Clone, Debug)]
struct Known {
    order: i64,
    counter: i64,
    event_id: OwnedEventId,
    thread: Option<usize>,
}

/// One thing a user has not read.
#[derive(Clone, Debug)]
struct Item {
    order: i64,
    thread: Option<usize>,
    /// What it is to this user, where that was said for good: whether it notifies, and is a highlight.
    said: Option<(bool, bool)>,
    /// Whom it notifies otherwise.
    others: Others,
    /// It was a highlight for everyone.
    of_all: bool,
    /// The user had silenced the room when it came.
    quiet: bool,
}

struct World {
    engine: Arc<MemoryEngine>,
    notify: Notify,
    events: Vec<Known>,
    thread_order: Option<i64>,
    members: BTreeMap<usize, Membership>,
    lists: BTreeMap<usize, Vec<Item>>,
    muted: BTreeSet<usize>,
    keywords: BTreeSet<usize>,
    /// Who has, or had, rules of their own.
    ruled: BTreeSet<usize>,
    /// Who subscribed to a thread once.
    followers: BTreeSet<usize>,
    /// By user and thread: the order above which it notifies.
    subscribed: BTreeMap<(usize, usize), i64>,
}

fn asks(number: usize) -> Requester {
    Requester { user_id: user(number), device_id: None, is_admin: false, is_suspended: false, session: 1 }
}

fn user(number: usize) -> OwnedUserId {
    UserId::parse(format!("@user{number}:here.test")).unwrap()
}

impl World {
    fn new() -> Self {
        let engine = Arc::new(MemoryEngine::new(&Identity { server_name: "here.test".to_owned() }));
        let notify = Self::service(&engine);
        Self {
            engine,
            notify,
            events: Vec::new(),
            thread_order: None,
            members: BTreeMap::new(),
            lists: BTreeMap::new(),
            muted: BTreeSet::new(),
            keywords: BTreeSet::new(),
            ruled: BTreeSet::new(),
            followers: BTreeSet::new(),
            subscribed: BTreeMap::new(),
        }
    }

    fn service(engine: &Arc<MemoryEngine>) -> Notify {
        let shared = Arc::clone(engine) as Arc<dyn Engine>;
        let (env, _) = Env::seeded(1);
        Notify::new(shared, env, "here.test".try_into().unwrap(), Schemes::HttpsOnly)
    }

    async fn snapshot(&self) -> Box<dyn Snapshot> {
        self.engine.snapshot().await.unwrap()
    }

    fn batch(&self) -> Batch {
        let shard = Shard::of("room");
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    async fn commit_batch(&self, batch: Batch) {
        self.engine.commit(batch).await.unwrap();
    }

    fn counter(&self) -> i64 {
        self.events.last().map_or(0, |event| event.counter)
    }

    fn is_joined(&self, user: usize) -> bool {
        self.members.get(&user) == Some(&Membership::Join)
    }

    async fn apply(&mut self, step: &Step) {
        match step {
            Step::Send(sending) => self.send(sending).await,
            Step::Member { user, membership } => self.member(*user, *membership).await,
            Step::Read { user, event, part } => self.read(*user, *event, *part).await,
            Step::Mute { user, muted } => self.mute(*user, *muted).await,
            Step::Keyword { user, set } => self.keyword(*user, *set).await,
            Step::Subscribe { user, root, automatic } => self.subscribe(*user, *root, *automatic).await,
            Step::Unsubscribe { user, root } => self.unsubscribe(*user, *root).await,
        }
    }

    async fn mute(&mut self, number: usize, muted: bool) {
        let changed = if muted { self.muted.insert(number) } else { self.muted.remove(&number) };
        if changed {
            self.rule(number, "room", "!room:here.test", json!({ "actions": [] }), muted).await;
        }
    }

    async fn keyword(&mut self, number: usize, set: bool) {
        let changed = if set { self.keywords.insert(number) } else { self.keywords.remove(&number) };
        let rule = json!({ "pattern": "cake", "actions": ["notify", { "set_tweak": "highlight" }] });
        if changed {
            self.rule(number, "content", "cake", rule, set).await;
        }
    }

    async fn subscribe(&mut self, number: usize, root: usize, automatic: bool) {
        if !self.is_joined(number) || root >= self.events.len() {
            return;
        }
        let cause = self.events.iter().rfind(|event| event.thread == Some(root)).cloned();
        let cause = cause.filter(|_| automatic);
        let root_id = self.events[root].event_id.clone();
        let cause_id = cause.as_ref().map(|cause| &*cause.event_id);
        match self.notify.subscribe_to_thread(&asks(number), &room_id(), &root_id, cause_id).await {
            Ok(()) => {}
            Err(SubscriptionError::Unsubscribed) if cause.is_some() => return,
            Err(error) => panic!("{error}"),
        }
        self.followers.insert(number);
        let last = self.events.last().map_or(0, |event| event.order);
        let from = cause.map_or(last, |cause| cause.order - 1);
        self.subscribed.entry((number, root)).or_insert(from);
    }

    async fn unsubscribe(&mut self, number: usize, root: usize) {
        if !self.is_joined(number) || root >= self.events.len() {
            return;
        }
        let root_id = self.events[root].event_id.clone();
        self.notify.unsubscribe_from_thread(&asks(number), &room_id(), &root_id).await.unwrap();
        self.subscribed.remove(&(number, root));
    }

    /// What an unread item is to a user: whether it notifies, and is a highlight.
    fn means(&self, number: usize, item: &Item) -> (bool, bool) {
        let (Some(root), None) = (item.thread, item.said) else { return item.said.unwrap_or_default() };
        let from = self.subscribed.get(&(number, root));
        let counts = match item.others {
            Others::None => false,
            Others::Subscribers => from.is_some_and(|from| item.order > *from),
            Others::All if !self.followers.contains(&number) || item.of_all => true,
            Others::All => from.is_some_and(|from| item.order > *from),
        };
        (counts && !item.quiet, item.of_all)
    }

    async fn rule(&mut self, number: usize, kind: &str, rule_id: &str, rule: Value, set: bool) {
        let asks = asks(number);
        self.ruled.insert(number);
        if set {
            let rule: NewRule = serde_json::from_value(rule).unwrap();
            self.notify.set_push_rule(&asks, kind, rule_id, &rule, &Relative::default()).await.unwrap();
        } else {
            self.notify.delete_push_rule(&asks, kind, rule_id).await.unwrap();
        }
    }

    async fn send(&mut self, sending: &Sending) {
        if !self.is_joined(sending.sender) {
            return;
        }
        let thread = sending.thread.filter(|root| *root < self.events.len() && sending.kind != Kind::Edit);
        let (kind, state_key, mut content) = match sending.kind {
            Kind::Text => ("m.room.message", None, json!({ "msgtype": "m.text" })),
            Kind::Encrypted => ("m.room.encrypted", None, json!({})),
            Kind::Notice => ("m.room.message", None, json!({ "msgtype": "m.notice" })),
            Kind::Reaction => ("m.reaction", None, json!({})),
            Kind::Edit => ("m.room.message", None, json!({ "m.relates_to": { "rel_type": "m.replace" } })),
            Kind::Topic => ("m.room.topic", Some(""), json!({})),
            Kind::Tombstone => ("m.room.tombstone", Some(""), json!({})),
        };
        if sending.keyword {
            content["body"] = json!("Let them eat Cake!");
        }
        let users: Vec<_> = sending.mentions.iter().map(|number| user(*number)).collect();
        content["m.mentions"] = json!({ "user_ids": users, "room": sending.mentions_room });
        if let Some(root) = thread {
            content["m.relates_to"] =
                json!({ "rel_type": "m.thread", "event_id": self.events[root].event_id });
        }
        let order = self.commit(&user(sending.sender), kind, state_key, content, thread).await;
        self.remember(sending, order, thread);
    }

    /// What sending means to the model.
    fn remember(&mut self, sending: &Sending, order: i64, thread: Option<usize>) {
        let is_notice = sending.kind == Kind::Notice;
        let of_all = (sending.mentions_room || sending.kind == Kind::Tombstone) && !is_notice;
        let counts = matches!(sending.kind, Kind::Text | Kind::Encrypted) || of_all;
        let is_state = matches!(sending.kind, Kind::Topic | Kind::Tombstone);
        let silenced = is_notice || matches!(sending.kind, Kind::Reaction | Kind::Edit);
        let subscribers = self.subscribed.keys().any(|(_, root)| Some(*root) == thread);
        let others = match (counts, silenced) {
            (true, _) => Others::All,
            (false, false) if subscribers => Others::Subscribers,
            (false, _) => Others::None,
        };
        let mut lists = std::mem::take(&mut self.lists);
        for (number, list) in &mut lists {
            if *number == sending.sender {
                if !is_state || others != Others::None {
                    list.retain(|item| item.thread != thread);
                }
                continue;
            }
            let mentioned = sending.mentions.contains(number) && !is_notice;
            let named = mentioned || of_all;
            let word = sending.keyword && self.keywords.contains(number) && !silenced;
            let quiet = self.muted.contains(number);
            let mut item = Item { order, thread, said: None, others, of_all, quiet };
            let subscribed = thread.map(|root| self.subscribed.contains_key(&(*number, root)));
            // The rules in their order.
            let says = if named || word {
                (true, true)
            } else if silenced {
                (false, false)
            } else if let Some(subscribed) = subscribed.filter(|_| self.followers.contains(number)) {
                (subscribed, false)
            } else {
                (counts && !quiet, false)
            };
            let is_judged = thread.is_none() || self.ruled.contains(number) || mentioned;
            if is_judged && says != self.means(*number, &item) {
                item.said = Some(says);
            }
            list.push(item);
        }
        self.lists = lists;
    }

    async fn member(&mut self, number: usize, membership: Membership) {
        let content = json!({ "membership": membership.as_str() });
        let target = user(number);
        self.commit(&target, "m.room.member", Some(target.as_str()), content, None).await;
        let before = self.members.insert(number, membership);
        if membership == Membership::Join && before != Some(Membership::Join) {
            self.lists.insert(number, Vec::new());
        } else if membership != Membership::Join {
            self.lists.remove(&number);
            self.subscribed.retain(|(user, _), _| *user != number);
        }
    }

    async fn read(&mut self, number: usize, event: usize, part: Read) {
        let Some(event) = self.events.get(event).cloned() else { return };
        if !self.is_joined(number) {
            return;
        }
        let mut batch = self.batch();
        let root = match part {
            Read::Thread(root) if root >= self.events.len() => return,
            Read::Thread(root) => Some(self.events[root].event_id.clone()),
            Read::All | Read::Main => None,
        };
        let read = ReadTo {
            user_id: &user(number),
            room: ROOM,
            order: event.order,
            counter: event.counter,
            part: match (part, root.as_deref()) {
                (_, Some(root)) => Part::Thread(root),
                (Read::Main, None) => Part::Main,
                (_, None) => Part::All,
            },
        };
        let snapshot = self.snapshot().await;
        self.notify.read_up_to(&*snapshot, &mut batch, &read).await.unwrap();
        self.engine.commit(batch).await.unwrap();
        let list = self.lists.entry(number).or_default();
        list.retain(|item| {
            let is_other = match part {
                Read::All => false,
                Read::Main => item.thread.is_some(),
                Read::Thread(root) => item.thread != Some(root),
            };
            item.order > event.order || is_other
        });
    }

    /// Commits an event as `rooms` does, and answers with its order.
    async fn commit(
        &mut self,
        sender: &UserId,
        kind: &str,
        state_key: Option<&str>,
        content: Value,
        thread: Option<usize>,
    ) -> i64 {
        let number = i64::try_from(self.events.len()).unwrap() + 1;
        let (order, event) = (number * SPACING, EventNid(number));
        let mut json = json!({
            "type": kind, "content": content, "sender": sender, "room_id": "!room:here.test", "depth": number,
            "origin_server_ts": number, "prev_events": [], "auth_events": [], "hashes": {}, "signatures": {},
        });
        if let Some(state_key) = state_key {
            json["state_key"] = json!(state_key);
        }
        let pdu = Pdu::parse(Bytes::from(json.to_string()), RoomVersionId::V11.rules()).unwrap();
        let counter = self.counter();
        let mut batch = self.batch();
        let pos = batch.next_pos();
        let (joined, thread_order) = (3, self.thread_order);
        let may_notify_room = true;
        let new = NewEvent {
            room: ROOM,
            event,
            pdu: &pdu,
            order,
            pos,
            counter,
            thread_order,
            joined,
            may_notify_room,
        };
        let snapshot = self.snapshot().await;
        let notifies = self.notify.observe(&*snapshot, &new, &mut batch).await.unwrap();
        let counter = counter + i64::from(notifies == Notifies::Yes);
        if notifies == Notifies::InThread {
            self.thread_order = Some(order);
        }
        batch.put(&Event {
            event,
            event_id: pdu.event_id().to_owned(),
            room: ROOM,
            order: Some(order),
            pos,
            status: EventStatus::Accepted,
            kind: kind.to_owned(),
            state_key: state_key.map(str::to_owned),
            sender: sender.to_owned(),
            origin_server_ts: number,
            depth: number,
            counter,
            replaces: None,
            redacted_by: None,
            session: None,
            sticky_until: None,
            txn_id: None,
        });
        if let Some(root) = thread {
            batch.put(&relation(self.events[root].event_id.clone(), order, event, sender, kind));
        }
        batch.put(&head(order, pos, self.thread_order, counter));
        batch.put(&Room {
            room: ROOM,
            room_id: room_id(),
            version: "11".to_owned(),
            creator: user(0),
            room_type: None,
            created: pos,
        });
        batch.put(&RoomById { room_id: room_id(), room: ROOM });
        if let Some(membership) = pdu.membership() {
            batch.put(&member(sender, membership, order, event, pos));
        }
        self.engine.commit(batch).await.unwrap();
        self.events.push(Known { order, counter, event_id: pdu.event_id().to_owned(), thread });
        order
    }

    async fn unread(&self, number: usize) -> Unread {
        let rooms =
            [LiveEnd { room: ROOM, counter: self.counter(), thread_order: self.thread_order, gone: None }];
        unread(&*self.snapshot().await, &user(number), &rooms).await.unwrap().remove(0)
    }

    /// Notifications and highlights, over all threads.
    async fn total(&self, number: usize) -> (u64, u64) {
        let Counts { notifications, highlights } = self.unread(number).await.total();
        (notifications, highlights)
    }

    async fn rows<K: Keyspace>(&self, number: usize) -> Vec<K> {
        let scan = Scan::prefix::<K>((user(number), ROOM), usize::MAX);
        self.snapshot().await.scan(scan).await.unwrap()
    }

    async fn check(&mut self) {
        let mut lists = std::mem::take(&mut self.lists);
        for (number, list) in &mut lists {
            // What a base has passed while it was nothing to the user stays nothing.
            let base = self.snapshot().await.get::<UnreadBase>(&(user(*number), ROOM)).await.unwrap();
            let base = base.map_or(0, |base| base.order);
            list.retain(|item| item.order > base || self.means(*number, item) != (false, false));
            let mut expected = Unread::default();
            for item in list.iter() {
                let (notifies, highlight) = self.means(*number, item);
                if !notifies && !highlight {
                    continue;
                }
                let counts = match item.thread {
                    None => &mut expected.main,
                    Some(root) => expected.threads.entry(self.events[root].event_id.clone()).or_default(),
                };
                counts.notifications += u64::from(notifies);
                counts.highlights += u64::from(highlight);
            }
            assert_eq!(self.unread(*number).await, expected, "user {number}: {list:?}");
        }
        self.lists = lists;
    }
}

fn room_id() -> OwnedRoomId {
    "!room:here.test".try_into().unwrap()
}

fn head(last_order: i64, pos: Pos, thread_order: Option<i64>, counter: i64) -> RoomHead {
    RoomHead {
        last_order,
        last_pos: pos,
        bump_pos: pos,
        counter,
        thread_order,
        joined: 3,
        ..RoomHead::empty(ROOM)
    }
}

fn relation(target: OwnedEventId, order: i64, event: EventNid, sender: &UserId, kind: &str) -> Relation {
    Relation {
        target,
        order,
        event,
        room: ROOM,
        rel_type: "m.thread".to_owned(),
        kind: kind.to_owned(),
        sender: sender.to_owned(),
        aggregation_key: None,
    }
}

fn member(user_id: &UserId, membership: &str, order: i64, event: EventNid, changed: Pos) -> Member {
    let membership = match membership {
        "join" => Membership::Join,
        "invite" => Membership::Invite,
        _ => Membership::Leave,
    };
    Member {
        room: ROOM,
        user_id: user_id.to_owned(),
        membership,
        event,
        order,
        changed,
        sender: user_id.to_owned(),
        display_name: None,
        avatar_url: None,
        // Whoever is in the room sees all of it.
        joined_at: (membership == Membership::Join).then_some(0),
        is_direct: false,
        forgotten: false,
    }
}

fn text(sender: usize) -> Sending {
    Sending {
        sender,
        kind: Kind::Text,
        thread: None,
        mentions: Vec::new(),
        mentions_room: false,
        keyword: false,
    }
}

/// A room that these users have joined.
async fn room(users: usize) -> World {
    let mut world = World::new();
    world.notify.load_ruled_rooms().await.unwrap();
    for user in 0..users {
        world.member(user, Membership::Join).await;
    }
    world
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Kind::{Edit, Encrypted, Notice, Reaction, Text, Tombstone, Topic};
    let kinds = vec![Text, Text, Text, Encrypted, Notice, Reaction, Edit, Topic, Tombstone];
    let mentions = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(0..5_usize, 1..3)];
    let sending = (0..4_usize, prop::sample::select(kinds), prop::option::of(0..3_usize), mentions, 0..16_u8);
    let sending = sending.prop_map(|(sender, kind, thread, mentions, dice)| {
        let (mentions_room, keyword) = (dice < 2, dice % 4 == 1);
        Step::Send(Sending { sender, kind, thread, mentions, mentions_room, keyword })
    });
    let memberships = vec![Membership::Join, Membership::Join, Membership::Leave, Membership::Invite];
    let member = (0..4_usize, prop::sample::select(memberships))
        .prop_map(|(user, membership)| Step::Member { user, membership });
    let part = prop_oneof![Just(Read::All), Just(Read::Main), (0..3_usize).prop_map(Read::Thread)];
    let read =
        (0..4_usize, 0..60_usize, part).prop_map(|(user, event, part)| Step::Read { user, event, part });
    let mute = (0..4_usize, any::<bool>()).prop_map(|(user, muted)| Step::Mute { user, muted });
    let keyword = (0..4_usize, any::<bool>()).prop_map(|(user, set)| Step::Keyword { user, set });
    let subscribe = (0..4_usize, 0..3_usize, any::<bool>())
        .prop_map(|(user, root, automatic)| Step::Subscribe { user, root, automatic });
    let unsubscribe = (0..4_usize, 0..3_usize).prop_map(|(user, root)| Step::Unsubscribe { user, root });
    let following = prop_oneof![2 => subscribe, 1 => unsubscribe];
    let step = prop_oneof![6 => sending, 1 => member, 3 => read, 1 => mute, 1 => keyword, 1 => following];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_equal_a_list_of_what_is_unread(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = room(3).await;
            for step in &steps {
                world.apply(step).await;
                world.check().await;
            }
        });
    }
}

#[tokio::test]
async fn a_message_writes_no_row_for_those_it_does_not_name() {
    let mut world = room(4).await;
    world.send(&text(0)).await;
    world.send(&Sending { mentions_room: true, ..text(0) }).await;
    world.send(&Sending { mentions: vec![2], ..text(0) }).await;
    assert!(world.rows::<Notification>(1).await.is_empty());
    assert_eq!(world.total(1).await, (3, 1));
    assert_eq!(world.rows::<Notification>(2).await.len(), 1);
    assert_eq!(world.total(2).await, (3, 2));
    assert_eq!(world.total(0).await, (0, 0), "nobody is notified of what they sent");
}

#[tokio::test]
async fn a_receipt_deletes_the_rows_it_covers_and_never_goes_back() {
    let mut world = room(2).await;
    let first = world.events.len();
    for _ in 0..3 {
        world.send(&Sending { mentions: vec![1], ..text(0) }).await;
    }
    world.read(1, first + 1, Read::All).await;
    assert_eq!(world.rows::<Notification>(1).await.len(), 1);
    assert_eq!(world.total(1).await, (1, 1));
    let base = world.rows::<UnreadBase>(1).await;
    world.read(1, first, Read::All).await;
    assert_eq!(world.rows::<UnreadBase>(1).await, base);
}

#[tokio::test]
async fn who_joins_later_or_changes_their_name_keeps_their_count() {
    let mut world = room(1).await;
    world.send(&text(0)).await;
    world.member(1, Membership::Join).await;
    assert_eq!(world.total(1).await, (0, 0));
    world.send(&text(0)).await;
    world.member(1, Membership::Join).await;
    assert_eq!(world.total(1).await, (1, 0));
}

#[tokio::test]
async fn an_invite_notifies_the_invited_until_they_decide() {
    let mut world = room(1).await;
    world.send(&text(0)).await;
    world.member(1, Membership::Invite).await;
    assert_eq!(world.total(1).await, (1, 0));
    world.member(1, Membership::Join).await;
    assert_eq!(world.total(1).await, (0, 0));
    assert!(world.rows::<Notification>(1).await.is_empty());
}

#[tokio::test]
async fn a_receipt_for_a_thread_reads_that_thread_only() {
    let mut world = room(2).await;
    for thread in [None, Some(0), Some(1), Some(0)] {
        world.send(&Sending { thread, mentions: vec![1], ..text(0) }).await;
    }
    world.read(1, world.events.len() - 2, Read::Thread(0)).await;
    assert_eq!(world.total(1).await, (3, 3));
    world.read(1, world.events.len() - 1, Read::Thread(0)).await;
    assert_eq!(world.total(1).await, (2, 2));
    // A mention in what notifies nobody else is a row of its own, not a step of the counter.
    let reaction = Sending { kind: Kind::Reaction, thread: Some(0), mentions: vec![1], ..text(0) };
    world.send(&reaction).await;
    assert_eq!(world.total(1).await, (3, 3));
    world.read(1, world.events.len() - 1, Read::Thread(0)).await;
    assert_eq!(world.total(1).await, (2, 2));
    world.read(1, world.events.len() - 1, Read::All).await;
    assert_eq!(world.total(1).await, (0, 0));
}

#[tokio::test]
async fn a_receipt_for_the_main_timeline_leaves_threads_unread() {
    let mut world = room(2).await;
    let root = world.events.len();
    for thread in [None, Some(root), None, Some(root)] {
        world.send(&Sending { thread, ..text(0) }).await;
    }
    world.read(1, world.events.len() - 1, Read::Main).await;
    let unread = world.unread(1).await;
    assert_eq!(unread.main, Counts::default());
    let thread = Counts { notifications: 2, highlights: 0 };
    assert_eq!(unread.threads, [(world.events[root].event_id.clone(), thread)].into());
    world.read(1, root + 1, Read::Thread(root)).await;
    assert_eq!(world.total(1).await, (1, 0));
    // Who writes in the main timeline has not read the thread; who writes in the thread has.
    world.send(&text(1)).await;
    assert_eq!(world.total(1).await, (1, 0));
    world.send(&Sending { thread: Some(root), ..text(1) }).await;
    assert_eq!(world.total(1).await, (0, 0));
}

#[tokio::test]
async fn a_message_in_a_thread_writes_one_row_and_reading_leaves_none_of_its_own() {
    let mut world = room(4).await;
    let root = world.events.len();
    for thread in [None, Some(root), Some(root)] {
        world.send(&Sending { thread, ..text(0) }).await;
    }
    let steps = Scan::prefix::<ThreadStep>((ROOM,), usize::MAX);
    assert_eq!(world.snapshot().await.scan::<ThreadStep>(steps).await.unwrap().len(), 2);
    assert!(world.rows::<Notification>(1).await.is_empty());
    world.read(1, root + 1, Read::Thread(root)).await;
    assert_eq!(world.rows::<ThreadBase>(1).await.len(), 1);
    world.read(1, root + 2, Read::Thread(root)).await;
    world.read(1, root + 2, Read::Main).await;
    assert_eq!(world.total(1).await, (0, 0));
    assert!(world.rows::<ThreadBase>(1).await.is_empty(), "all is read, so nothing is kept of threads");
}

#[tokio::test]
async fn a_receipt_planned_on_an_old_base_is_a_conflict() {
    let mut world = room(2).await;
    world.send(&text(0)).await;
    let last = world.events.last().cloned().unwrap();
    let user_id = user(1);
    let read =
        ReadTo { user_id: &user_id, room: ROOM, order: last.order, counter: last.counter, part: Part::All };
    let mut batch = world.batch();
    world.notify.read_up_to(&*world.snapshot().await, &mut batch, &read).await.unwrap();
    world.send(&text(1)).await;
    assert!(world.engine.commit(batch).await.is_err());
    assert_eq!(world.total(1).await, (0, 0));
}
