//! The owner of one live room: a task that plans, commits and answers.
//!
//! One commit is under way at a time. Whatever arrives meanwhile is planned on the uncommitted head into the next group,
//! so that the disk sets the pace and not the number of senders.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_model::RoomNid;
use myelin_store::{Batch, CommitError, Committed, Durability};
use tokio::sync::{mpsc, oneshot};

use crate::SendError;
use crate::command::{Answer, Command};
use crate::plan::{Outcome, Planner};
use crate::service::Deps;

/// How many requests may wait for one room.
pub(crate) const INBOX: usize = 1_024;
/// How many events one commit takes.
const GROUP: usize = 128;
/// How many bytes one commit takes; well below [`myelin_store::MAX_BATCH_BYTES`], since one more event may follow.
const GROUP_BYTES: usize = 512 * 1_024;
/// How long a room without requests stays in memory.
const IDLE: Duration = Duration::from_secs(300);
/// How often a group is planned anew when the store says that the head was not what the owner thought.
const REPLANS: u32 = 3;

/// Requests whose events are committed together.
struct Group {
    batch: Batch,
    bytes: usize,
    waiting: Vec<(Command, Answer)>,
}

/// The commit under way.
struct UnderWay {
    commit: BoxFuture<'static, Result<Committed, CommitError>>,
    waiting: Vec<(Command, Answer)>,
}

pub(crate) struct Owner {
    deps: Arc<Deps>,
    room: RoomNid,
    inbox: mpsc::Receiver<Command>,
    planner: Option<Planner>,
    next: Group,
    under_way: Option<UnderWay>,
    replans: u32,
}

impl Owner {
    pub(crate) fn new(deps: Arc<Deps>, room: RoomNid, inbox: mpsc::Receiver<Command>) -> Self {
        let next = Group::new(&deps);
        Self { deps, room, inbox, planner: None, next, under_way: None, replans: 0 }
    }

    /// Serves the room until nobody has asked for anything for a while, or the server stops.
    pub(crate) async fn run(mut self) {
        let stopping = self.deps.env.tasks.stopping();
        tokio::pin!(stopping);
        loop {
            self.start_commit();
            tokio::select! {
                biased;
                result = finished(&mut self.under_way) => self.commit_ended(result).await,
                command = self.inbox.recv(), if self.next.has_room() => match command {
                    Some(command) => self.take(command).await,
                    None => break,
                },
                () = tokio::time::sleep(IDLE), if self.is_idle() => self.inbox.close(),
                () = &mut stopping, if !self.inbox.is_closed() => self.inbox.close(),
            }
        }
        self.drain().await;
    }

    /// Commits what was planned before the inbox closed.
    async fn drain(mut self) {
        loop {
            self.start_commit();
            if self.under_way.is_none() {
                return;
            }
            let result = finished(&mut self.under_way).await;
            self.commit_ended(result).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.next.waiting.is_empty() && !self.inbox.is_closed()
    }

    /// Plans a request, and with it whatever else waits already.
    async fn take(&mut self, command: Command) {
        self.plan(command).await;
        while self.next.has_room() {
            let Ok(command) = self.inbox.try_recv() else { return };
            self.plan(command).await;
        }
    }

    async fn plan(&mut self, command: Command) {
        match self.try_plan(&command).await {
            Ok(Outcome::Planned(sent)) => {
                self.next.bytes = self.next.batch.size();
                self.next.waiting.push((command, sent));
            }
            Ok(Outcome::RepeatsPlanned(sent)) => self.next.waiting.push((command, sent)),
            Ok(Outcome::RepeatsUnderWay(sent)) => match &mut self.under_way {
                Some(under_way) => under_way.waiting.push((command, sent)),
                None => answer(command.reply, Ok(sent)),
            },
            Ok(Outcome::RepeatsStored(sent)) => answer(command.reply, Ok(sent)),
            Err(error) => {
                answer(command.reply, Err(error.clone()));
                if self.planner.as_ref().is_some_and(Planner::is_broken) {
                    self.fail_planned(&error);
                }
            }
        }
    }

    async fn try_plan(&mut self, command: &Command) -> Result<Outcome, SendError> {
        let planner = match &mut self.planner {
            Some(planner) => planner,
            None => self.planner.insert(Planner::load(Arc::clone(&self.deps), self.room).await?),
        };
        planner.plan(command, &mut self.next.batch).await
    }

    /// Sends the planned group to the store, if none is under way.
    fn start_commit(&mut self) {
        if self.under_way.is_some() || self.next.waiting.is_empty() {
            return;
        }
        let Some(planner) = &mut self.planner else { return };
        let group = std::mem::replace(&mut self.next, Group::new(&self.deps));
        let mut batch = group.batch;
        planner.overlay_mut().commit();
        planner.seal(&mut batch);
        let engine = Arc::clone(&self.deps.engine);
        let commit = Box::pin(async move { engine.commit(batch).await });
        self.under_way = Some(UnderWay { commit, waiting: group.waiting });
    }

    async fn commit_ended(&mut self, result: Result<Committed, CommitError>) {
        let Some(under_way) = self.under_way.take() else { return };
        match result {
            Ok(committed) => {
                self.replans = 0;
                if let Some(planner) = &mut self.planner {
                    planner.committed(committed.first);
                }
                for (command, sent) in under_way.waiting {
                    answer(command.reply, Ok(sent));
                }
            }
            Err(CommitError::Conflict { keyspace }) if self.replans < REPLANS => {
                tracing::warn!(
                    room = self.room.0,
                    keyspace,
                    "the room's head was not as planned; planning again"
                );
                self.replans += 1;
                self.replan(under_way.waiting).await;
            }
            Err(error) => {
                let error = SendError::from(error);
                for (command, _) in under_way.waiting {
                    answer(command.reply, Err(error.clone()));
                }
                self.fail_planned(&error);
            }
        }
    }

    /// Forgets the head and plans every request again on the one the store has.
    async fn replan(&mut self, mut commands: Vec<(Command, Answer)>) {
        commands.extend(std::mem::replace(&mut self.next, Group::new(&self.deps)).waiting);
        self.planner = None;
        for (command, _) in commands {
            self.plan(command).await;
        }
    }

    /// Nothing that was planned can be committed: its head never came to be.
    fn fail_planned(&mut self, error: &SendError) {
        self.planner = None;
        let group = std::mem::replace(&mut self.next, Group::new(&self.deps));
        for (command, _) in group.waiting {
            answer(command.reply, Err(error.clone()));
        }
    }
}

impl Group {
    fn new(deps: &Deps) -> Self {
        let mut batch = Batch::new(deps.provisional_fence());
        batch.durability = Durability::MayLag;
        Self { batch, bytes: 0, waiting: Vec::new() }
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < GROUP && self.bytes < GROUP_BYTES
    }
}

/// Resolves when the commit under way ends; never while there is none.
async fn finished(under_way: &mut Option<UnderWay>) -> Result<Committed, CommitError> {
    match under_way {
        Some(under_way) => (&mut under_way.commit).await,
        None => std::future::pending().await,
    }
}

/// The asker may have hung up; the event stands all the same.
fn answer(reply: oneshot::Sender<Result<Answer, SendError>>, result: Result<Answer, SendError>) {
    let _ = reply.send(result);
}
