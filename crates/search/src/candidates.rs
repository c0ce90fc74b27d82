//! From words to events: postings are read newest first, in all rooms side by side, until they end or enough was seen.

use std::collections::BTreeMap;

use myelin_model::{EventNid, Pos, RoomNid};
use myelin_store::schema::search::{SearchDocument, SearchPosting};
use myelin_store::{ReadError, Reader, Scan, Snapshot};

use crate::index::counts_of;
use crate::rank::{Rank, rank};
use crate::words::{MAX_TERMS, Terms};

/// How many events one query looks at. Of more, the newest count.
pub const MOST_SEEN: usize = 5_000;
/// How many words with the same beginning are looked for in each room, in the order of the alphabet.
const MOST_COMPLETIONS: usize = 16;
/// How many lists of postings one query reads side by side.
const MOST_STREAMS: usize = 4_096;
/// How many postings of a list, or words of events, are read at once.
const CHUNK: usize = 512;
/// How many words of one event are remembered for being highlighted.
const MOST_MATCHED: usize = 2 * MAX_TERMS;

/// An event that has all the words.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) event: EventNid,
    pub(crate) rank: Rank,
    /// Where its words are from: itself or an edit.
    pub(crate) source: EventNid,
    /// Words of it that the terms found, [`MOST_MATCHED`] at most.
    pub(crate) matched: Vec<String>,
}

/// What the index proposes.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) found: Vec<Candidate>,
    /// There may be more below this position.
    pub(crate) floor: Option<Pos>,
}

/// A list of postings that is not at its end.
struct Stream {
    room: RoomNid,
    word: String,
    /// What was read is not below this position.
    before: Pos,
}

/// The events before a position that have all the terms.
pub(crate) async fn candidates(
    snapshot: &dyn Snapshot,
    rooms: &[RoomNid],
    terms: &Terms,
    before: Pos,
) -> Result<Candidates, ReadError> {
    let streams = streams(snapshot, rooms, terms, before).await?;
    let (postings, floor) = read(snapshot, streams).await?;
    let events: Vec<_> = postings.into_values().map(|event| (event,)).collect();
    let mut found = Vec::new();
    for keys in events.chunks(CHUNK) {
        let documents = snapshot.get_all::<SearchDocument>(keys).await?;
        found.extend(documents.into_iter().flatten().filter_map(|document| candidate(&document, terms)));
    }
    Ok(Candidates { found, floor })
}

fn candidate(document: &SearchDocument, terms: &Terms) -> Option<Candidate> {
    let words = counts_of(document);
    let occurrences = terms.occurrences(&words)?;
    let length = u32::try_from(document.length).unwrap_or(u32::MAX);
    let matched = terms.matched(&words).take(MOST_MATCHED).map(str::to_owned).collect();
    let SearchDocument { event, source, .. } = *document;
    Some(Candidate { event, rank: rank(&occurrences, length), source, matched })
}

/// The lists that are read: those of the longest term, as likely the rarest; the others are compared with each event's
/// words.
async fn streams(
    snapshot: &dyn Snapshot,
    rooms: &[RoomNid],
    terms: &Terms,
    before: Pos,
) -> Result<Vec<Stream>, ReadError> {
    let longest = terms.exact.iter().max_by_key(|word| word.chars().count());
    let whole = longest.filter(|word| word.chars().count() >= terms.prefix.chars().count());
    let words: Vec<(RoomNid, String)> = match whole {
        Some(word) => rooms.iter().map(|room| (*room, word.clone())).collect(),
        None => completions(snapshot, rooms, &terms.prefix).await?,
    };
    Ok(words.into_iter().take(MOST_STREAMS).map(|(room, word)| Stream { room, word, before }).collect())
}

/// The words of each room that begin like this. Each round finds the next one in all rooms.
async fn completions(
    snapshot: &dyn Snapshot,
    rooms: &[RoomNid],
    prefix: &str,
) -> Result<Vec<(RoomNid, String)>, ReadError> {
    let mut found: Vec<(RoomNid, String)> = Vec::new();
    let first = |room: &RoomNid| Scan::prefix::<SearchPosting>((*room,), 1).from((prefix.to_owned(),));
    let mut scans: Vec<Scan> = rooms.iter().map(first).collect();
    for _ in 0..MOST_COMPLETIONS {
        let rows = snapshot.scan_all::<SearchPosting>(scans).await?;
        let next = rows.into_iter().flatten().filter(|row| row.word.starts_with(prefix));
        let next: Vec<(RoomNid, String)> = next.map(|row| (row.room, row.word)).collect();
        let after = |(room, word): &(RoomNid, String)| {
            Scan::prefix::<SearchPosting>((*room,), 1).after((word.clone(),))
        };
        scans = next.iter().map(after).collect();
        found.extend(next);
        if scans.is_empty() || found.len() >= MOST_STREAMS {
            break;
        }
    }
    Ok(found)
}

/// The postings of all lists by position, and where reading ended if it did before the lists.
async fn read(
    snapshot: &dyn Snapshot,
    mut streams: Vec<Stream>,
) -> Result<(BTreeMap<Pos, EventNid>, Option<Pos>), ReadError> {
    let mut found = BTreeMap::new();
    let mut budget = MOST_SEEN;
    while !streams.is_empty() && budget > 0 {
        let each = (budget / streams.len()).clamp(1, CHUNK);
        let scan = |stream: &Stream| {
            let prefix = (stream.room, stream.word.clone());
            Scan::prefix::<SearchPosting>(prefix, each).before((stream.before,)).backward()
        };
        let rows = snapshot.scan_all::<SearchPosting>(streams.iter().map(scan).collect()).await?;
        let mut left = Vec::new();
        for (stream, rows) in streams.into_iter().zip(rows) {
            budget = budget.saturating_sub(rows.len());
            if let Some(last) = rows.last().filter(|_| rows.len() == each) {
                left.push(Stream { before: last.pos, ..stream });
            }
            found.extend(rows.into_iter().map(|row| (row.pos, row.event)));
        }
        streams = left;
    }
    Ok((found, streams.iter().map(|stream| stream.before).max()))
}
