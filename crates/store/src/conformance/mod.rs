//! The suite that every engine must pass, and the generators of the differential tests.
//!
//! An engine's test crate implements [`Factory`], calls [`crate::conformance_suite!`], and has one test for each
//! behaviour.

pub mod checks;
pub mod random;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use myelin_model::{Fence, Pos, RoomNid, Shard};

use crate::{Batch, Engine, Identity, Keyspace, KeyspaceDef, ReadError, Row, Scan, keyspace};

keyspace! {
    /// A key of two columns, one of them a position, and indexes over columns that may be null.
    pub struct Note in "conformance_note" {
        key { room: RoomNid, pos: Pos }
        value { label: Option<String>, rank: Option<i64>, body: Bytes }
        index { BY_LABEL = "by_label" (label, rank), BY_RANK = "by_rank" (rank), BY_POS = "by_pos" (pos) }
    }
}

keyspace! {
    /// A text key and a counter.
    pub struct Tally in "conformance_tally" {
        key { name: String }
        value { count: i64 }
        index { BY_COUNT = "by_count" (count) }
    }
}

keyspace! {
    /// Nothing but a key of one integer.
    pub struct Mark in "conformance_mark" {
        key { id: i64 }
        value {}
        index {}
    }
}

keyspace! {
    /// A key of one integer, with values and indexes.
    pub struct Entry in "conformance_entry" {
        key { id: i64 }
        value { text: Option<String>, number: i64 }
        index { BY_NUMBER = "by_number" (number, text), BY_TEXT = "by_text" (text) }
    }
}

keyspace! {
    /// A key of three columns of all types.
    pub struct Piece in "conformance_piece" {
        key { hash: Bytes, name: String, part: i64 }
        value { data: Bytes, changed: Pos, note: Option<Bytes> }
        index { BY_CHANGE = "by_change" (changed), BY_NOTE = "by_note" (note, name) }
    }
}

/// The keyspaces that an engine under test has besides those of the schema.
pub const KEYSPACES: &[&KeyspaceDef] = &[Note::DEF, Tally::DEF, Mark::DEF, Entry::DEF, Piece::DEF];

/// Makes engines to test.
pub trait Factory: Send + Sync {
    /// A new, empty store that has [`KEYSPACES`].
    fn fresh(&self) -> Arc<dyn Engine>;

    /// The store of an engine that was closed, opened again; `None` where nothing outlives the engine.
    fn reopen(&self, engine: Arc<dyn Engine>) -> Option<Arc<dyn Engine>>;

    /// A path where nothing is yet, for a backup.
    fn scratch(&self) -> PathBuf;

    /// Opens a backup; `None` where the engine makes none.
    fn restore(&self, backup: &Path) -> Option<Arc<dyn Engine>>;
}

/// Whose the tested stores are.
#[must_use]
pub fn identity() -> Identity {
    Identity { server_name: "conformance.example".to_owned() }
}

/// An empty batch that is allowed to commit.
#[must_use]
pub fn batch(engine: &dyn Engine) -> Batch {
    let shard = Shard::of("conformance");
    Batch::new(Fence { shard, epoch: engine.epoch(shard) })
}

/// A note as most checks need it.
#[must_use]
pub fn note(room: i64, pos: Pos) -> Note {
    Note { room: RoomNid(room), pos, label: None, rank: None, body: Bytes::from_static(b"body") }
}

/// Every row of the [`KEYSPACES`], once in the order of the key and once in that of each index.
///
/// # Errors
/// When the store can't be read.
pub async fn dump(engine: &dyn Engine) -> Result<Vec<Vec<Row>>, ReadError> {
    let mut scans = Vec::new();
    for keyspace in KEYSPACES {
        for index in std::iter::once(None).chain(keyspace.indexes.iter().map(Some)) {
            scans.push(Scan { keyspace, index, ..Scan::prefix::<Mark>((), usize::MAX) });
        }
    }
    engine.snapshot().await?.scan_many(scans).await
}

/// Runs one check to its end on a runtime of its own.
///
/// # Panics
/// When the check fails.
pub fn run<F: AsyncFnOnce()>(check: F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
    runtime.block_on(check());
}

/// One `#[test]` for every behaviour that an engine must have; the argument makes a [`Factory`].
#[macro_export]
macro_rules! conformance_suite {
    ($factory:expr) => {
        $crate::conformance_suite! { $factory;
            a_batch_is_applied_as_a_whole_or_not_at_all,
            expectations_see_the_store_before_the_batch,
            a_missing_counter_is_a_conflict_and_undoes_the_batch,
            counters_add_up_under_concurrency,
            a_counter_at_its_end_refuses_the_batch,
            a_batch_under_an_old_epoch_is_fenced_off,
            a_batch_over_the_limit_is_refused,
            a_batch_that_does_not_fit_its_declaration_is_refused,
            ops_apply_in_order,
            a_range_delete_takes_what_the_scan_covers,
            positions_have_no_holes_and_follow_commit_order,
            a_place_in_the_order_is_taken_when_commit_is_called,
            placeholders_are_resolved_wherever_they_stand,
            a_batch_without_positions_reports_the_newest,
            notices_come_in_order_with_their_topics,
            a_snapshot_sees_one_moment,
            a_snapshot_contains_every_commit_acknowledged_before_it,
            one_row_is_read_as_it_is_now,
            rows_come_back_as_they_were_put,
            keys_that_lie_near_each_other_are_each_found,
            scans_of_every_shape_agree_with_their_definition,
            a_scan_that_does_not_fit_its_order_is_an_error,
            a_backup_is_the_store_at_one_moment,
            a_closed_store_refuses_and_keeps_what_it_acknowledged,
            ids_are_reserved_once,
            random_batches_leave_what_the_memory_engine_has,
        }
    };
    ($factory:expr; $($check:ident),+ $(,)?) => {$(
        #[test]
        fn $check() {
            let factory = $factory;
            $crate::conformance::run(async || $crate::conformance::checks::$check(&factory).await);
        }
    )+};
}
