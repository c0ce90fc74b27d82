//! Random messages, edits and redactions: what the index finds is what a scan of all of them finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_model::Pos;
use myelin_runtime::Env;
use myelin_store::schema::rooms::{Event, Membership};
use myelin_store::schema::search::{SearchDocument, SearchPosting};
use myelin_store::{Engine, ReadError, Reader, Scan};
use myelin_sync_core::event_filter::EventFilter;
use myelin_timeline::testing::{Draft, World};
use myelin_timeline::{ClientEvents, Viewer};
use proptest::prelude::*;
use ruma::{RoomId, UserId, user_id};
use serde_json::json;

use crate::words::{Terms, Words};
use crate::{Key, MOST_SEEN, Order, RoomStates, Search, SearchRequest, Token};

struct NoStates;

impl RoomStates for NoStates {
    fn state<'a>(
        &'a self,
        _viewer: &'a Viewer,
        _room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<ClientEvents<'static>>, ReadError>> {
        Box::pin(async { Ok(None) })
    }
}

/// What happens in a room. The numbers choose among what there is.
#[derive(Clone, Debug)]
enum Deed {
    Say(String),
    /// The one who edits, and of whose message the body is replaced.
    Edit(bool, usize, String),
    /// Redacts a message, or an edit.
    Redact(usize),
    /// The indexer makes a step.
    Index,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let text = proptest::collection::vec("(ab|abc|b|ba|c)", 0..4).prop_map(|words| words.join(" "));
    let deed = prop_oneof![
        4 => text.clone().prop_map(Deed::Say),
        2 => (any::<bool>(), any::<usize>(), text).prop_map(|(own, n, text)| Deed::Edit(own, n, text)),
        1 => any::<usize>().prop_map(Deed::Redact),
        1 => Just(Deed::Index),
    ];
    proptest::collection::vec(deed, 0..40)
}

/// A message as the slow scan remembers it.
struct Said {
    event: Event,
    body: String,
    /// Edits that count, oldest first, until they are redacted.
    edits: Vec<(Event, String)>,
    redacted: bool,
}

impl Said {
    fn words(&self) -> Words {
        let last = self.edits.last().map(|(_, body)| body);
        if self.redacted { Words::default() } else { Words::of(last.unwrap_or(&self.body)) }
    }
}

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn request(term: &str) -> SearchRequest {
    SearchRequest {
        term: term.to_owned(),
        keys: Key::ALL.to_vec(),
        rooms: None,
        not_rooms: Vec::new(),
        events: EventFilter::default(),
        limit: 3,
        order: Order::Recent,
        context: None,
        include_state: false,
        group_by: Vec::new(),
        from: None,
    }
}

/// The event ids on all pages.
async fn found(search: &Search, mut request: SearchRequest) -> Vec<String> {
    let viewer = Viewer { user_id: alice().to_owned(), session: None, now: 0 };
    let (mut all, mut count) = (Vec::new(), None);
    loop {
        let page = search.search(&viewer, &request).await.unwrap();
        assert_eq!(
            *count.get_or_insert(page.count),
            page.count,
            "the count does not change from page to page"
        );
        for hit in &page.results {
            let event: serde_json::Value = serde_json::from_str(hit.result.get()).unwrap();
            all.push(event["event_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.next_batch else { break };
        request.from = Some(next.parse::<Token>().unwrap());
    }
    assert_eq!(count, Some(all.len()));
    all
}

async fn catch_up(search: &Search, done: &mut Option<Pos>) {
    loop {
        let step = search.step(*done).await.unwrap();
        *done = Some(step.done);
        search.reached.send_replace(step.done);
        if !step.more {
            return;
        }
    }
}

async fn play(deeds: Vec<Deed>) {
    let world = World::new();
    let engine: Arc<dyn Engine> = Arc::clone(&world.engine) as Arc<dyn Engine>;
    let search = Search::new(engine, Env::seeded(1).0, Arc::new(NoStates));
    let room = world.room(alice(), "shared").await;
    let bob = user_id!("@bob:test");
    world.member(room, bob, bob, Membership::Join).await;
    let (mut said, mut done): (Vec<Said>, Option<Pos>) = (Vec::new(), None);
    for deed in deeds {
        match deed {
            Deed::Say(body) => {
                let event = world.say(room, alice(), &body).await;
                said.push(Said { event, body, edits: Vec::new(), redacted: false });
            }
            Deed::Edit(own, n, body) if !said.is_empty() => {
                let count = said.len();
                let target = &mut said[n % count];
                let content = json!({
                    "msgtype": "m.text", "body": format!("* {body}"),
                    "m.new_content": { "msgtype": "m.text", "body": body },
                    "m.relates_to": { "rel_type": "m.replace", "event_id": target.event.event_id },
                });
                let sender = if own { alice() } else { bob };
                let edit = world.send(Draft::message(room, sender, "m.room.message", content)).await;
                if own {
                    target.edits.push((edit, body));
                }
            }
            Deed::Redact(n) if !said.is_empty() => {
                let count = said.len();
                let target = &mut said[n % count];
                // Every other redaction takes the newest edit and leaves the message.
                match target.edits.pop().filter(|_| n % 2 == 0) {
                    Some((edit, _)) => drop(world.redact(alice(), &edit).await),
                    None if target.redacted => {}
                    None => {
                        target.edits.clear();
                        target.redacted = true;
                        drop(world.redact(alice(), &target.event).await);
                    }
                }
            }
            Deed::Index => catch_up(&search, &mut done).await,
            Deed::Edit(..) | Deed::Redact(_) => {}
        }
    }
    catch_up(&search, &mut done).await;
    check(&world, &search, &said).await;
}

async fn check(world: &World, search: &Search, said: &[Said]) {
    for term in ["ab", "b", "c", "abc b", "b a", "c b ab", "x"] {
        let terms = Terms::parse(term).unwrap();
        let matching = |said: &&Said| terms.occurrences(&said.words().counts).is_some();
        let expected: Vec<String> =
            said.iter().rev().filter(matching).map(|said| said.event.event_id.to_string()).collect();
        assert_eq!(found(search, request(term)).await, expected, "{term}");
        let by_rank = found(search, SearchRequest { order: Order::Rank, ..request(term) }).await;
        let sorted = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(sorted(by_rank), sorted(expected), "{term}");
    }
    // Nothing is left of what was taken back.
    let words: usize = said.iter().map(|said| said.words().counts.0.len()).sum();
    let known = |said: &&Said| !said.redacted && (said.words().length > 0 || !said.edits.is_empty());
    let documents = said.iter().filter(known).count();
    let snapshot = world.snapshot().await;
    let all = Scan::prefix::<SearchPosting>((), usize::MAX);
    assert_eq!(snapshot.scan::<SearchPosting>(all).await.unwrap().len(), words);
    let all = Scan::prefix::<SearchDocument>((), usize::MAX);
    assert_eq!(snapshot.scan::<SearchDocument>(all).await.unwrap().len(), documents);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn what_is_found_is_what_a_scan_finds(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(deeds));
    }
}

#[tokio::test]
async fn an_index_that_was_lost_is_made_again_from_the_log() {
    let world = World::new();
    let engine: Arc<dyn Engine> = Arc::clone(&world.engine) as Arc<dyn Engine>;
    let search = Search::new(engine, Env::seeded(1).0, Arc::new(NoStates));
    let room = world.room(alice(), "shared").await;
    for n in 0..300 {
        world.say(room, alice(), &format!("needle {n}")).await;
    }
    let mut done = None;
    catch_up(&search, &mut done).await;
    let mut again = Some(Pos::ZERO);
    catch_up(&search, &mut again).await;
    assert_eq!(done, again);
    assert_eq!(found(&search, SearchRequest { limit: 100, ..request("needle") }).await.len(), 300);
    let mut restarted = None;
    catch_up(&search, &mut restarted).await;
    assert_eq!(found(&search, request("needle 29")).await.len(), 11);
}

#[tokio::test]
async fn more_than_one_query_looks_at_is_found_page_by_page() {
    let world = World::new();
    let engine: Arc<dyn Engine> = Arc::clone(&world.engine) as Arc<dyn Engine>;
    let search = Search::new(engine, Env::seeded(1).0, Arc::new(NoStates));
    let rooms = [world.room(alice(), "shared").await, world.room(alice(), "shared").await];
    let mut said = Vec::new();
    // One room was busy long ago, the other is now, and neither may hide the other.
    for n in 0..MOST_SEEN + 600 {
        let event = world.say(rooms[usize::from(n % 8 == 0 || n > 3_000)], alice(), "needle").await;
        said.push(event.event_id.to_string());
    }
    catch_up(&search, &mut None).await;
    let viewer = Viewer { user_id: alice().to_owned(), session: None, now: 0 };
    let mut request = SearchRequest { limit: 100, ..request("needle") };
    let mut all = Vec::new();
    loop {
        let page = search.search(&viewer, &request).await.unwrap();
        assert!((MOST_SEEN / 2..=2 * MOST_SEEN).contains(&page.count), "{}", page.count);
        for hit in &page.results {
            let event: serde_json::Value = serde_json::from_str(hit.result.get()).unwrap();
            all.push(event["event_id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page.next_batch else { break };
        request.from = Some(next.parse::<Token>().unwrap());
    }
    said.reverse();
    assert_eq!(all, said);
}
