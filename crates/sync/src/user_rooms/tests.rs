//! A list that is folded, one that goes on from a stored copy, and one that is made anew say the same.

use std::sync::Arc;

use myelin_model::{RoomNid, Topic};
use myelin_store::schema::notify::UnreadBase;
use myelin_store::schema::rooms::Membership;
use myelin_store::schema::users::GLOBAL;
use myelin_store::{CommitNotice, Engine};
use myelin_sync_core::rooms::{RoomEntry, RoomKey};
use myelin_timeline::testing::{Draft, World};
use proptest::prelude::*;
use ruma::{UserId, user_id};
use serde_json::json;
use tokio::sync::broadcast::Receiver;

use super::{Source, UserRooms};
use crate::notifier::Notifier;
use crate::room_cache::RoomCache;
use crate::stored_rooms;

const ROOMS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Say(usize),
    Encrypt(usize),
    Move(usize, Membership),
    /// Bob asks Alice in, as to a direct chat.
    Ask(usize),
    Direct(Vec<usize>),
    Tag(usize, bool),
    Read(usize),
    Ignore(bool),
    /// Commits that the notifier misses.
    Lag,
    Fold,
    Store,
}

fn any_op() -> impl Strategy<Value = Op> {
    let room = 0..ROOMS;
    let kinds =
        vec![Membership::Join, Membership::Invite, Membership::Leave, Membership::Ban, Membership::Knock];
    prop_oneof![
        4 => room.clone().prop_map(Op::Say),
        1 => room.clone().prop_map(Op::Encrypt),
        4 => (room.clone(), prop::sample::select(kinds)).prop_map(|(room, to)| Op::Move(room, to)),
        1 => room.clone().prop_map(Op::Ask),
        1 => prop::collection::vec(room.clone(), 0..ROOMS).prop_map(Op::Direct),
        1 => (room.clone(), any::<bool>()).prop_map(|(room, on)| Op::Tag(room, on)),
        1 => room.prop_map(Op::Read),
        1 => any::<bool>().prop_map(Op::Ignore),
        1 => Just(Op::Lag),
        4 => Just(Op::Fold),
        2 => Just(Op::Store),
    ]
}

fn alice() -> &'static UserId {
    user_id!("@alice:x")
}

fn bob() -> &'static UserId {
    user_id!("@bob:x")
}

struct Test {
    world: World,
    rooms: Vec<RoomNid>,
    notices: Receiver<Arc<CommitNotice>>,
    notifier: Arc<Notifier>,
    cache: RoomCache,
    folded: UserRooms,
}

impl Test {
    async fn new() -> Self {
        let world = World::new();
        let notices = world.engine.notices();
        let notifier = Arc::new(Notifier::default());
        drop(notifier.subscribe(alice()));
        let mut rooms = Vec::new();
        for room in 0..ROOMS {
            let kind = (room == 0).then_some("m.space");
            rooms.push(world.typed_room(bob(), "shared", kind).await);
        }
        let cache = RoomCache::new(Arc::clone(&notifier));
        Self { world, rooms, notices, notifier, cache, folded: UserRooms::new(alice()) }
    }

    async fn run(&mut self, op: &Op) {
        let world = &self.world;
        let room = |number: &usize| self.rooms[*number];
        match op {
            Op::Say(to) => drop(world.say(room(to), bob(), "hello").await),
            Op::Encrypt(of) => {
                let content = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
                drop(world.send(Draft::state(room(of), bob(), "m.room.encryption", "", content)).await);
            }
            Op::Move(of, to) => {
                let by = if matches!(to, Membership::Join | Membership::Knock) { alice() } else { bob() };
                drop(world.member(room(of), by, alice(), *to).await);
            }
            Op::Ask(to) => {
                let content = json!({ "membership": "invite", "is_direct": true });
                let draft = Draft::state(room(to), bob(), "m.room.member", alice().as_str(), content);
                drop(world.send(draft).await);
            }
            Op::Direct(rooms) => {
                let rooms: Vec<_> = rooms.iter().map(|number| world.room_id(room(number))).collect();
                world.account_data(alice(), GLOBAL, "m.direct", json!({ "@bob:x": rooms })).await;
            }
            Op::Tag(of, on) => {
                let tags = if *on { json!({ "m.favourite": {} }) } else { json!({}) };
                world.account_data(alice(), room(of), "m.tag", json!({ "tags": tags })).await;
            }
            Op::Read(of) => {
                let mut batch = world.batch();
                let changed = batch.next_pos();
                let (user_id, room) = (alice().to_owned(), room(of));
                batch.put(&UnreadBase { user_id, room, order: 0, main_order: 0, counter: 0, changed });
                batch.wake(Topic::user(alice().as_str()));
                world.commit(batch).await;
            }
            Op::Ignore(on) => {
                let ignored = if *on { json!({ "@bob:x": {} }) } else { json!({}) };
                let content = json!({ "ignored_users": ignored });
                world.account_data(alice(), GLOBAL, "m.ignored_user_list", content).await;
            }
            Op::Lag => {
                while self.notices.try_recv().is_ok() {}
                self.notifier.wake_everyone();
            }
            Op::Fold => self.fold().await,
            Op::Store => {
                self.fold().await;
                let (engine, folded) = (&*self.world.engine, &mut self.folded);
                stored_rooms::store(engine, alice(), &mut folded.list, folded.folded).await.unwrap();
            }
        }
    }

    async fn fold(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            self.notifier.committed(&notice);
        }
        let snapshot = self.world.snapshot().await;
        let source = Source { snapshot: &*snapshot, notifier: &self.notifier, cache: &self.cache };
        self.folded.fold(source).await.unwrap();
        // Nothing that this server run knows is at hand where a list begins.
        let nobody = Arc::new(Notifier::default());
        let cache = RoomCache::new(Arc::clone(&nobody));
        let source = Source { snapshot: &*snapshot, notifier: &nobody, cache: &cache };
        let mut restored = UserRooms::new(alice());
        restored.fold(source).await.unwrap();
        let mut anew = UserRooms::new(alice());
        anew.load(source).await.unwrap();
        assert_eq!(said(&self.folded), said(&anew), "what was folded is not what there is");
        assert_eq!(said(&restored), said(&anew), "what was stored is not what there is");
        assert_eq!(self.folded.joined(), anew.joined());
        let facts = self.folded.facts(&*snapshot, &self.cache, &self.rooms).await.unwrap();
        let read = anew.facts(&*snapshot, &cache, &self.rooms).await.unwrap();
        assert_eq!(facts.len(), read.len());
        for ((room, facts), (same, read)) in facts.iter().zip(&read) {
            assert_eq!((room, &facts.member, &facts.head), (same, &read.member, &read.head));
            assert_eq!(facts.summary, read.summary);
        }
    }
}

fn said(rooms: &UserRooms) -> Vec<(RoomKey, RoomEntry)> {
    rooms.list.all().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn however_a_list_came_about_it_says_the_same(ops in prop::collection::vec(any_op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut test = Test::new().await;
            for op in ops.iter().chain([&Op::Fold]) {
                test.run(op).await;
            }
        });
    }
}
