//! What `search` owns: the index of what rooms say. All of it follows from the rows of `rooms`; a lost index is made anew
//! by setting the cursor back.

use myelin_model::{EventNid, Pos, RoomNid};

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// An event that has a word. Goes with the word: by an edit or a redaction.
    pub struct SearchPosting in "search_posting" {
        key {
            room: RoomNid,
            word: String,
            /// The event's position: the newest come last.
            pos: Pos,
        }
        value { event: EventNid }
        index {}
    }
}

keyspace! {
    /// The words of an event, with which its postings are found again. Goes when the event is redacted.
    pub struct SearchDocument in "search_document" {
        key { event: EventNid }
        value {
            room: RoomNid,
            pos: Pos,
            /// The event that the words are from: the event itself, or the edit that replaced its content.
            source: EventNid,
            /// How many words there are, repetitions counted.
            length: i64,
            /// Each word with how often it occurs: a JSON object.
            words: String,
        }
        index { BY_SOURCE = "by_source" (source) }
    }
}

keyspace! {
    /// Up to where the log is indexed.
    pub struct SearchCursor in "search_cursor" {
        key { name: String }
        value { done: Pos }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] =
    &[super::def::<SearchPosting>(), super::def::<SearchDocument>(), super::def::<SearchCursor>()];
