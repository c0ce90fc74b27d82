//! What surrounds results: a fixed number of reads for all of a page.

use std::collections::BTreeMap;

use myelin_model::EventNid;
use myelin_store::schema::rooms::{Event, StateVersion};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use myelin_sync_core::token::PageToken;
use myelin_timeline::{Format, Viewer, client_events, contents, visible};
use ruma::OwnedUserId;
use serde::Deserialize;

use crate::found::{Context, Profile};
use crate::query::Match;
use crate::request::ContextRequest;

/// The most events on each side of a result.
pub const MAX_CONTEXT: usize = 50;
/// How many events more are read on each side, for those that the viewer may not see. Beyond that the context is shorter.
const SPARE: usize = 16;
/// The branch of the room's main line.
const MAIN_BRANCH: i64 = 0;

/// The events around a result: before it (newest first), and after it (oldest first).
type Sides = (Vec<Event>, Vec<Event>);

/// The contexts of these results, in their order.
pub(crate) async fn contexts(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    matches: &[Match],
    request: ContextRequest,
) -> Result<Vec<Context>, ReadError> {
    let sides = sides(snapshot, viewer, matches, request).await?;
    let profiles = match request.include_profile {
        true => profiles(snapshot, matches, &sides).await?.into_iter().map(Some).collect(),
        false => vec![None; matches.len()],
    };
    let all: Vec<Event> =
        sides.iter().flat_map(|(before, after)| before.iter().chain(after)).cloned().collect();
    let mut shown = client_events(snapshot, viewer, Format::CLIENT, &all).await?.into_iter();
    let mut contexts = Vec::with_capacity(matches.len());
    for ((found, (before, after)), profile_info) in matches.iter().zip(&sides).zip(profiles) {
        let own = found.event.order.unwrap_or_default();
        let order = |event: Option<&Event>| event.and_then(|event| event.order).unwrap_or(own);
        contexts.push(Context {
            start: PageToken::Before(order(before.last())).to_string(),
            end: PageToken::Before(order(after.last()).saturating_add(1)).to_string(),
            events_before: shown.by_ref().take(before.len()).collect(),
            events_after: shown.by_ref().take(after.len()).collect(),
            profile_info,
        });
    }
    Ok(contexts)
}

async fn sides(
    snapshot: &dyn Snapshot,
    viewer: &Viewer,
    matches: &[Match],
    request: ContextRequest,
) -> Result<Vec<Sides>, ReadError> {
    let (before, after) = (request.before.min(MAX_CONTEXT), request.after.min(MAX_CONTEXT));
    let rows = |limit: usize| if limit == 0 { 0 } else { limit + SPARE };
    let mut scans = Vec::with_capacity(matches.len() * 2);
    for found in matches {
        let at = (found.event.order,);
        let scan = |limit| Scan::index::<Event>(Event::BY_ORDER, (found.event.room,), rows(limit));
        // Events without an order are no part of the timeline; they sort before all others.
        scans.push(scan(before).before(at).from((Some(i64::MIN),)).backward());
        scans.push(scan(after).after(at));
    }
    let mut found = snapshot.scan_all::<Event>(scans).await?;
    let sizes: Vec<usize> = found.iter().map(Vec::len).collect();
    let all: Vec<Event> = found.drain(..).flatten().collect();
    let seen = visible(snapshot, viewer, &all).await?;
    let mut events = all.into_iter().zip(seen);
    let mut side = |size: &usize, limit: usize| -> Vec<Event> {
        let side: Vec<_> = events.by_ref().take(*size).collect();
        side.into_iter().filter(|(_, seen)| *seen).map(|(event, _)| event).take(limit).collect()
    };
    let pairs = sizes.chunks(2).filter_map(|sizes| match sizes {
        [first, second] => Some((side(first, before), side(second, after))),
        _ => None,
    });
    Ok(pairs.collect())
}

/// What the senders around each result were called at its end.
async fn profiles(
    snapshot: &dyn Snapshot,
    matches: &[Match],
    sides: &[Sides],
) -> Result<Vec<BTreeMap<OwnedUserId, Profile>>, ReadError> {
    let mut scans = Vec::new();
    let mut wanted: Vec<(usize, OwnedUserId)> = Vec::new();
    for (number, (found, (before, after))) in matches.iter().zip(sides).enumerate() {
        let until = after.last().and_then(|event| event.order).or(found.event.order).unwrap_or_default();
        let all = before.iter().chain(after).chain(std::iter::once(&found.event));
        let mut senders: Vec<&OwnedUserId> = all.map(|event| &event.sender).collect();
        senders.sort_unstable();
        senders.dedup();
        for sender in senders {
            let key = (found.event.room, MAIN_BRANCH, "m.room.member".to_owned(), sender.to_string());
            scans.push(Scan::prefix::<StateVersion>(key, 1).up_to((until,)).backward());
            wanted.push((number, sender.clone()));
        }
    }
    let versions = snapshot.scan_all::<StateVersion>(scans).await?;
    let events: Vec<EventNid> = versions.iter().flatten().map(|version| version.event).collect();
    let contents = contents(snapshot, &events).await?;
    let mut profiles = vec![BTreeMap::new(); matches.len()];
    for ((number, sender), version) in wanted.into_iter().zip(versions) {
        let json = version.first().and_then(|version| contents.get(&version.event));
        let Some((profiles, json)) = profiles.get_mut(number).zip(json) else { continue };
        profiles.insert(sender, profile(json));
    }
    Ok(profiles)
}

fn profile(json: &[u8]) -> Profile {
    #[derive(Deserialize)]
    struct Stored {
        content: serde_json::Map<String, serde_json::Value>,
    }
    let Ok(Stored { content }) = serde_json::from_slice(json) else { return Profile::default() };
    let text = |key: &str| content.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    Profile { displayname: text("displayname"), avatar_url: text("avatar_url") }
}
