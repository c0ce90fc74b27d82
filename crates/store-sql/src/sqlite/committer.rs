//! The thread that writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use myelin_model::Pos;
use myelin_store::schema::node;
use myelin_store::{Batch, CommitError, CommitNotice, Committed, Durability};
use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::apply::{Rejection, apply};
use super::failure::{Failure, FullDisk};
use super::lock::StoreLock;
use super::open::{self, Opened};
use super::upkeep::{Hold, Upkeep};
use super::{Announce, DurabilityMode, SqliteOptions};
use crate::statement::Statements;

/// What the committer is asked to do.
#[derive(Debug)]
pub(super) enum Message {
    Commit(Job),
    Close(oneshot::Sender<()>),
}

/// A batch that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Committed, CommitError>>,
    /// Its place in the queue, given back when it is answered.
    pub(super) room: OwnedSemaphorePermit,
}

/// A transaction takes no more than this, so that the first batch in it does not wait long for the last.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_BATCHES: usize = 512;

/// How long nothing must come before space is given back to the file system.
const IDLE: Duration = Duration::from_secs(1);
/// Unused pages that the file may keep, and how many are given back at a time.
const FREE_PAGES: i64 = 1024;
const FREED_AT_ONCE: u32 = 512;

/// The state of the writing thread, without its connection.
pub(super) struct Committer {
    path: PathBuf,
    options: SqliteOptions,
    statements: Arc<Statements>,
    announce: Arc<Announce>,
    /// The newest position.
    position: i64,
    /// Whether commits wait for the disk at the moment.
    waits: bool,
    /// The length of the log from which the committer acts.
    log_limit: i64,
    /// While the log is to start over, and a copy is still under way.
    hold: Option<Hold>,
    full_disk: FullDisk,
}

/// What a transaction did.
struct Group {
    outcomes: Vec<Result<Committed, CommitError>>,
    /// The newest position after each batch.
    positions: Vec<i64>,
}

impl Committer {
    pub(super) fn new(
        path: &Path,
        options: &SqliteOptions,
        opened: &Opened,
        statements: &Arc<Statements>,
        announce: &Arc<Announce>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            options: *options,
            statements: Arc::clone(statements),
            announce: Arc::clone(announce),
            position: opened.position.get(),
            waits: true,
            log_limit: i64::from(options.log_pages) * 4,
            hold: None,
            full_disk: FullDisk::default(),
        }
    }

    /// Commits until the store is closed.
    pub(super) fn run(
        mut self,
        connection: Connection,
        upkeep: Upkeep,
        queue: &Receiver<Message>,
        lock: StoreLock,
    ) {
        let mut connection = Some(connection);
        let mut idle = true;
        let closed = loop {
            let message = match queue.recv_timeout(if idle { Duration::MAX } else { IDLE }) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(open) = &connection {
                        self.tend_log(open, &upkeep);
                    }
                    let has_more = connection.as_ref().is_some_and(give_space_back);
                    idle = !has_more && self.hold.is_none();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break None,
            };
            idle = false;
            let (jobs, close) = take_group(message, queue);
            if !jobs.is_empty() {
                self.commit_group(&mut connection, jobs, &upkeep);
            }
            if close.is_some() {
                break close;
            }
        };
        upkeep.stop();
        if let Some(connection) = connection {
            close(connection);
        }
        drop(lock);
        // Whoever comes later is answered by the end of the queue.
        while queue.try_recv().is_ok() {}
        if let Some(closed) = closed {
            // Nobody waits for it where the engine was dropped.
            let _unheard = closed.send(());
        }
    }

    fn commit_group(&mut self, connection: &mut Option<Connection>, jobs: Vec<Job>, upkeep: &Upkeep) {
        let result = match self.connection(connection) {
            Ok(open) => self.transaction(open, &jobs, upkeep),
            Err(failure) => Err(failure),
        };
        match result {
            Ok(group) => {
                if self.full_disk.is_over() {
                    tracing::info!("store.disk.has_room");
                }
                self.answer(jobs, group);
                if let Some(open) = connection {
                    self.tend_log(open, upkeep);
                }
            }
            Err(failure) => {
                if failure.is_full() {
                    if self.full_disk.is_news() {
                        tracing::error!("store.disk.full: writes fail until there is room again");
                    }
                } else {
                    tracing::error!(error = &failure as &dyn std::error::Error, "store.commit.failed");
                    // Nothing is certain about a connection after an error of the disk: start over with a new one.
                    *connection = None;
                }
                for job in jobs {
                    drop(job.room);
                    let _unheard = job.reply.send(Err(failure.to_commit_error()));
                }
            }
        }
    }

    /// The connection, opened again where an error closed it.
    fn connection<'c>(&mut self, connection: &'c mut Option<Connection>) -> Result<&'c Connection, Failure> {
        if connection.is_none() {
            let reopen = || {
                let opened = open::connect(&self.path, false)?;
                open::prepare_to_write(&opened, &self.options)?;
                let text = "SELECT next FROM counter WHERE name = ?1";
                let next: i64 = opened.query_row(text, [node::POSITION], |row| row.get(0))?;
                Ok((opened, next))
            };
            let (opened, next) =
                reopen().map_err(|error| Failure::new("the store could not be opened again", error))?;
            // A commit that seemed to fail may have reached the disk after all: its positions are taken.
            self.position = self.position.max(next - 1);
            self.announce.positions.send_replace(Pos::new(self.position));
            self.waits = true;
            *connection = Some(opened);
        }
        match connection {
            Some(connection) => Ok(connection),
            None => Err(Failure::new("the store could not be opened again", rusqlite::Error::InvalidQuery)),
        }
    }

    /// Applies the jobs in one transaction. After an error nothing of it is left.
    fn transaction(
        &mut self,
        connection: &Connection,
        jobs: &[Job],
        upkeep: &Upkeep,
    ) -> Result<Group, Failure> {
        let required = |job: &Job| job.batch.durability == Durability::Required;
        let wait = self.options.durability == DurabilityMode::Sync
            || upkeep.has_failed()
            || jobs.iter().any(required);
        let written = self.write(connection, jobs, wait);
        if written.is_err() && !connection.is_autocommit() {
            // If this fails too, the transaction is gone with the connection, or the next BEGIN says so.
            drop(connection.execute_batch("ROLLBACK"));
        }
        let group = written.map_err(|error| Failure::new("the transaction failed", error))?;
        if let Some(position) = group.positions.last() {
            self.position = *position;
        }
        if !wait {
            upkeep.sync_soon();
        }
        Ok(group)
    }

    fn write(&mut self, connection: &Connection, jobs: &[Job], wait: bool) -> rusqlite::Result<Group> {
        if wait != self.waits {
            connection.pragma_update(None, "synchronous", if wait { "FULL" } else { "NORMAL" })?;
            self.waits = wait;
        }
        connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        let mut position = self.position;
        let mut group =
            Group { outcomes: Vec::with_capacity(jobs.len()), positions: Vec::with_capacity(jobs.len()) };
        for Job { batch, .. } in jobs {
            let first = position + 1;
            let outcome = match apply(connection, &self.statements, batch, first) {
                Ok(()) => {
                    position += i64::from(batch.positions);
                    let first = if batch.positions > 0 { first } else { position };
                    Ok(Committed { first: Pos::new(first) })
                }
                Err(Rejection::Batch(error)) => Err(error),
                Err(Rejection::Transaction(error)) => return Err(error),
            };
            group.outcomes.push(outcome);
            group.positions.push(position);
        }
        if position != self.position {
            let mut statement = connection.prepare_cached("UPDATE counter SET next = ?1 WHERE name = ?2")?;
            statement.execute((position + 1, node::POSITION))?;
        }
        connection.prepare_cached("COMMIT")?.raw_execute()?;
        Ok(group)
    }

    /// Tells each batch what became of it, and the world what was committed.
    fn answer(&self, jobs: Vec<Job>, group: Group) {
        for ((job, outcome), position) in jobs.into_iter().zip(group.outcomes).zip(group.positions) {
            drop(job.room);
            let committed = outcome.is_ok();
            let position = Pos::new(position);
            if committed {
                // Before the answer: whoever has it must find nothing older than what they wrote.
                self.announce
                    .positions
                    .send_if_modified(|newest| std::mem::replace(newest, position) != position);
            }
            let _unheard = job.reply.send(outcome);
            if committed {
                let topics = job.batch.topics;
                let _nobody = self.announce.notices.send(Arc::new(CommitNotice { position, topics }));
            }
        }
    }

    /// Keeps the log short: the upkeep copies it back; where it can't keep up, the log starts over here.
    fn tend_log(&mut self, connection: &Connection, upkeep: &Upkeep) {
        let Ok((pages, copied)) = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::NOOP) else {
            return;
        };
        upkeep.log_grew(i64::from(pages) - i64::from(copied));
        let (pages, limit) = (i64::from(pages), i64::from(self.options.log_pages) * 4);
        if pages < limit {
            (self.log_limit, self.hold) = (limit, None);
        } else if pages > self.log_limit {
            // SQLite refuses it while another copies: then the next commit, or the rest after it, finds the copy ended.
            let hold = self.hold.take().unwrap_or_else(|| upkeep.hold());
            if !hold.is_alone() {
                self.hold = Some(hold);
                return;
            }
            // Waits for readers of the old part, but not long: what they read is short, or it is a backup.
            drop(connection.busy_timeout(Duration::from_millis(100)));
            let restarted = connection.wal_checkpoint_v2(Some("main"), CheckpointMode::RESTART);
            drop(connection.busy_timeout(Duration::from_secs(5)));
            if let Err(error) = restarted {
                tracing::debug!(pages, error = &error as &dyn std::error::Error, "store.log.kept");
            }
            self.log_limit = pages + limit;
        }
    }
}

/// The message's job and those that wait behind it, up to the limits or a request to close.
fn take_group(message: Message, queue: &Receiver<Message>) -> (Vec<Job>, Option<oneshot::Sender<()>>) {
    let mut jobs = Vec::new();
    let mut bytes = 0;
    let mut next = Some(message);
    while let Some(message) = next {
        match message {
            Message::Commit(job) => {
                bytes += job.batch.size();
                jobs.push(job);
            }
            Message::Close(closed) => return (jobs, Some(closed)),
        }
        let more = bytes < GROUP_BYTES && jobs.len() < GROUP_BATCHES;
        next = if more { queue.try_recv().ok() } else { None };
    }
    (jobs, None)
}

/// Shortens the file by a part of its unused pages; whether there are more.
fn give_space_back(connection: &Connection) -> bool {
    let give = || {
        let free: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free > FREE_PAGES {
            connection.pragma(None, "incremental_vacuum", FREED_AT_ONCE, |_| Ok(()))?;
        }
        Ok(free > FREE_PAGES)
    };
    give().unwrap_or_else(|error: rusqlite::Error| {
        tracing::debug!(error = &error as &dyn std::error::Error, "store.space.kept");
        false
    })
}

/// Brings everything into the one file, as far as readers let it.
fn close(connection: Connection) {
    let tidy = || {
        connection.pragma_update(None, "synchronous", "FULL")?;
        open::closed_cleanly(&connection)?;
        connection.wal_checkpoint_v2(Some("main"), CheckpointMode::TRUNCATE).map(drop)
    };
    drop(connection.busy_timeout(Duration::from_millis(100)));
    if let Err(error) = tidy() {
        tracing::warn!(error = &error as &dyn std::error::Error, "store.close.left_log");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(error = &error as &dyn std::error::Error, "store.close.failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_pages_are_given_back_part_by_part() {
        let folder = tempfile::TempDir::new().unwrap();
        let connection = open::connect(&folder.path().join("store.db"), true).unwrap();
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        open::prepare_to_write(&connection, &SqliteOptions::default()).unwrap();
        let count =
            |name: &str| -> i64 { connection.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
        connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)").unwrap();
        for _ in 0..200 {
            connection.execute("INSERT INTO t (body) VALUES (zeroblob(100000))", []).unwrap();
        }
        connection.execute_batch("DELETE FROM t WHERE id > 10").unwrap();
        let full = count("page_count");
        assert!(count("freelist_count") > 4000);

        assert!(give_space_back(&connection), "there is more");
        assert_eq!(count("page_count"), full - i64::from(FREED_AT_ONCE), "not all at once");
        let mut parts = 1;
        while give_space_back(&connection) {
            parts += 1;
            assert!(parts < 100);
        }
        assert!(count("freelist_count") <= FREE_PAGES, "a little is kept for what comes next");
        assert!(count("page_count") < FREE_PAGES + 500);
    }
}
