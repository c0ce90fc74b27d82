//! Which events pass filters, as far as more than their headers has to be read for it.

use myelin_model::EventNid;
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Snapshot};
use myelin_sync_core::event_filter::EventFilter;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{contents, rel_types};

/// Takes the mark from those of the marked events that do not pass their filter.
///
/// # Errors
/// When the store can't be read.
pub async fn filter_events<'e>(
    snapshot: &dyn Snapshot,
    events: Vec<(&'e mut bool, &'e Event, &'e EventFilter)>,
) -> Result<(), ReadError> {
    let mut left = events;
    left.retain_mut(|(marked, event, filter)| {
        **marked &= filter.allows(&event.kind, event.sender.as_str());
        **marked && (filter.asks_relations() || filter.contains_url.is_some())
    });
    let asked: Vec<&Event> =
        left.iter().filter(|(_, _, filter)| filter.asks_relations()).map(|(_, event, _)| *event).collect();
    if !asked.is_empty() {
        let mut relations = rel_types(snapshot, &asked).await?.into_iter();
        for (marked, _, filter) in left.iter_mut().filter(|(_, _, filter)| filter.asks_relations()) {
            **marked = filter.allows_relation(relations.next().flatten().as_deref());
        }
    }
    left.retain(|(marked, _, filter)| **marked && filter.contains_url.is_some());
    if left.is_empty() {
        return Ok(());
    }
    let asked: Vec<EventNid> = left.iter().map(|(_, event, _)| event.event).collect();
    let contents = contents(snapshot, &asked).await?;
    for (marked, event, filter) in left {
        *marked = filter.allows_url(contents.get(&event.event).is_some_and(|json| has_url(json)));
    }
    Ok(())
}

/// Whether a stored event's content has a `url`.
fn has_url(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Stored {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        url: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Stored>(json).is_ok_and(|stored| stored.content.url.is_some())
}
