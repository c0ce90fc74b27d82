//! The indexer: it follows the log and keeps the index as the rooms are.
//!
//! An event of the log says only *which* events to look at anew: itself, what it edits, what it redacts. What the index says
//! of them is then made from the store as it is and compared with what it said before, so that a step may be repeated, and
//! its commits may be cut anywhere.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use myelin_model::{EventNid, Fence, Pos, Shard};
use myelin_store::schema::erasure::Erasure;
use myelin_store::schema::rooms::Event;
use myelin_store::schema::search::{SearchCursor, SearchDocument, SearchPosting};
use myelin_store::{Batch, CommitError, Durability, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::{contents, load, load_by_id};
use ruma::{EventId, OwnedEventId};

use crate::Search;
use crate::document::{MESSAGE, REDACTION, Stored, documents, is_searched};
use crate::words::Counts;

/// How many events of the log one step takes.
const STEP: usize = 128;
/// How many lists of erased events one step takes.
const ERASURES: usize = 4;
/// Where a commit is cut, in bytes. What one event may add to it (at most 512 words go and as many come) fits above it.
const CUT: usize = 256 << 10;
/// How long the indexer lets events gather while nobody searches: one commit for many of them.
const GATHER: Duration = Duration::from_millis(100);
/// How long to wait after a failure; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The one row of [`SearchCursor`].
const CURSOR: &str = "events";

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// How far a step came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) done: Pos,
    /// There may be more to do at once.
    pub(crate) more: bool,
}

impl Search {
    /// Follows the log until the server stops.
    pub(crate) async fn follow(&self) {
        let stopping = self.env.tasks.stopping();
        tokio::pin!(stopping);
        let mut positions = self.engine.positions();
        let mut pause = PAUSE;
        let mut done = None;
        while !self.env.tasks.is_stopping() {
            positions.mark_unchanged();
            match self.step(done).await {
                Ok(step) => {
                    pause = PAUSE;
                    done = Some(step.done);
                    self.reached.send_replace(step.done);
                    if step.more {
                        continue;
                    }
                    tokio::select! {
                        changed = positions.changed() => if changed.is_err() { return },
                        () = &mut stopping => return,
                    }
                    tokio::select! {
                        () = tokio::time::sleep(GATHER) => {}
                        () = self.hurry.notified() => {}
                        () = &mut stopping => return,
                    }
                }
                Err(error) => {
                    // The store tells the operator of a full disk; every try would be too often.
                    if !matches!(error, IndexError::Commit(CommitError::Full)) {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the search index is behind; trying again"
                        );
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        () = &mut stopping => return,
                    }
                }
            }
        }
    }

    /// Indexes the next events after `done`, or after the stored cursor.
    pub(crate) async fn step(&self, done: Option<Pos>) -> Result<Step, IndexError> {
        let snapshot = self.engine.snapshot().await?;
        let done = match done {
            Some(done) => done,
            None => stored_cursor(&*snapshot).await?,
        };
        let scan = Scan::index::<Event>(Event::BY_POS, (), STEP).after((done,)).up_to((snapshot.position(),));
        let events = snapshot.scan::<Event>(scan).await?;
        let erasures = Scan::prefix::<Erasure>((), ERASURES).after((done,)).up_to((snapshot.position(),));
        let erasures = snapshot.scan::<Erasure>(erasures).await?;
        let last_event = events.last().map(|event| event.pos).filter(|_| events.len() == STEP);
        let last_erasure = erasures.last().map(|erasure| erasure.pos).filter(|_| erasures.len() == ERASURES);
        // Both are done up to where the one that has more ends; what lies beyond is looked at again.
        let last = last_event.into_iter().chain(last_erasure).min();
        let (more, done) = (last.is_some(), last.unwrap_or(snapshot.position()));
        let mut affected = affected(&*snapshot, &events).await?;
        affected.extend(erased(&*snapshot, &erasures).await?);
        let affected: Vec<EventNid> = affected.into_iter().collect();
        let changes = changes(&*snapshot, &affected).await?;
        drop(snapshot);
        let any = !changes.is_empty();
        let mut batch = self.batch();
        for (before, after) in changes {
            write(&mut batch, before.as_ref(), after.as_ref());
            if batch.size() > CUT {
                self.engine.commit(std::mem::replace(&mut batch, self.batch())).await?;
            }
        }
        // Where nothing is searched, the cursor in memory is enough: looking at such events again costs little.
        if any || more {
            batch.put(&SearchCursor { name: CURSOR.to_owned(), done });
            self.engine.commit(batch).await?;
        }
        Ok(Step { done, more })
    }

    fn batch(&self) -> Batch {
        let shard = Shard::of("search");
        let mut batch = Batch::new(Fence { shard, epoch: self.engine.epoch(shard) });
        // What a power cut takes of the index goes together with its cursor, and is made again.
        batch.durability = Durability::MayLag;
        batch
    }
}

async fn stored_cursor(snapshot: &dyn Snapshot) -> Result<Pos, ReadError> {
    let row = snapshot.get::<SearchCursor>(&(CURSOR.to_owned(),)).await?;
    Ok(row.map_or(Pos::ZERO, |row| row.done))
}

/// The events of which these may have changed what the index should say.
async fn affected(snapshot: &dyn Snapshot, events: &[Event]) -> Result<BTreeSet<EventNid>, ReadError> {
    let searched = |event: &&Event| is_searched(&event.kind, event.state_key.as_deref());
    let mut affected: BTreeSet<EventNid> = events.iter().filter(searched).map(|event| event.event).collect();
    let naming = |event: &&Event| event.kind == MESSAGE || event.kind == REDACTION;
    let nids: Vec<EventNid> = events.iter().filter(naming).map(|event| event.event).collect();
    let contents = contents(snapshot, &nids).await?;
    let mut named: Vec<(&Event, OwnedEventId)> = Vec::new();
    for event in events.iter().filter(naming) {
        let Some(stored) = contents.get(&event.event).map(|json| Stored::parse(json)) else { continue };
        let target = if event.kind == REDACTION { stored.redacts() } else { stored.edits() };
        named.extend(target.map(|target| (event, target)));
    }
    let ids: Vec<&EventId> = named.iter().map(|(_, target)| &**target).collect();
    let targets = load_by_id(snapshot, &ids).await?;
    let mut redacted = Vec::new();
    for ((event, _), target) in named.iter().zip(targets) {
        let Some(target) = target.filter(|target| target.room == event.room) else { continue };
        affected.insert(target.event);
        if event.kind == REDACTION {
            redacted.push(target.event);
        }
    }
    affected.extend(edited_by(snapshot, &redacted).await?);
    Ok(affected)
}

/// The events that were erased, and those whose words were theirs.
async fn erased(snapshot: &dyn Snapshot, erasures: &[Erasure]) -> Result<BTreeSet<EventNid>, ReadError> {
    let numbers = |erasure: &Erasure| serde_json::from_str::<Vec<i64>>(&erasure.events).unwrap_or_default();
    let mut erased: Vec<EventNid> = erasures.iter().flat_map(numbers).map(EventNid).collect();
    erased.extend(edited_by(snapshot, &erased).await?);
    Ok(erased.into_iter().collect())
}

/// What these events edited. A redacted edit says that no more; the index knows whose words it gave.
async fn edited_by(snapshot: &dyn Snapshot, edits: &[EventNid]) -> Result<Vec<EventNid>, ReadError> {
    let scan = |event: &EventNid| Scan::index::<SearchDocument>(SearchDocument::BY_SOURCE, (*event,), 8);
    let edited = snapshot.scan_all::<SearchDocument>(edits.iter().map(scan).collect()).await?;
    Ok(edited.into_iter().flatten().map(|document| document.event).collect())
}

type Change = (Option<SearchDocument>, Option<SearchDocument>);

/// What the index says of these events and what it should say, where that differs.
async fn changes(snapshot: &dyn Snapshot, events: &[EventNid]) -> Result<Vec<Change>, ReadError> {
    let loaded = load(snapshot, events).await?;
    let after = documents(snapshot, &loaded).await?;
    let mut after: HashMap<EventNid, Option<SearchDocument>> =
        loaded.iter().map(|event| event.event).zip(after).collect();
    let keys: Vec<_> = events.iter().map(|event| (*event,)).collect();
    let before = snapshot.get_all::<SearchDocument>(&keys).await?;
    // Of an event that is gone, nothing is to be said.
    let pairs = before.into_iter().zip(events).map(|(before, event)| (before, after.remove(event).flatten()));
    Ok(pairs.filter(|(before, after)| before != after).collect())
}

fn write(batch: &mut Batch, before: Option<&SearchDocument>, after: Option<&SearchDocument>) {
    let (old, new) = (before.map(counts_of), after.map(counts_of));
    let lacks =
        |counts: Option<&Counts>, word: &str| counts.is_none_or(|counts| !counts.0.contains_key(word));
    if let (Some(document), Some(old)) = (before, &old) {
        for word in old.0.keys().filter(|word| lacks(new.as_ref(), word)) {
            batch.delete::<SearchPosting>(&(document.room, word.clone(), document.pos));
        }
        if after.is_none() {
            batch.delete::<SearchDocument>(&(document.event,));
        }
    }
    if let (Some(document), Some(new)) = (after, &new) {
        let &SearchDocument { room, pos, event, .. } = document;
        for word in new.0.keys().filter(|word| lacks(old.as_ref(), word)) {
            batch.put(&SearchPosting { room, word: word.clone(), pos, event });
        }
        batch.put(document);
    }
}

/// The words of a document. The indexer wrote them, so they have their form; otherwise there is nothing to find.
pub(crate) fn counts_of(document: &SearchDocument) -> Counts {
    serde_json::from_str(&document.words).unwrap_or_default()
}
