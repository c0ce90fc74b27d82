//! Sliding sync: the newest of the rooms a client looks at, and what it asked for besides.

mod extensions;
mod followed;
mod make;
pub mod merged;
mod pick;
pub(crate) mod profiles;
pub mod request;
mod room;
mod room_answer;
mod sticky;
pub(crate) mod wishes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use myelin_model::{Pos, Requester};
use myelin_store::ReadError;
use myelin_sync_core::connection::{Connection, UnknownPos};
use myelin_sync_core::sticky::StickyToken;
use myelin_sync_core::token::{ConnectionPos, InboxToken, InvalidToken};
use myelin_sync_core::window::InvalidRequest;

use tokio::sync::watch;

use crate::Sync;
use crate::connections::{ConnectionId, Live, LiveState, is_stored, restore, write};
use crate::look::{Look, boxed};
use crate::service::MOST_WAIT;
use crate::sliding::make::{Made, Making};
use crate::sliding::merged::Form;
use crate::sliding::request::{SlidingRequest, Wanted};
use crate::users::{Quiet, Slot, View};

/// After so many milliseconds of use a connection is written though nothing of its rooms changed.
const REWRITTEN_AFTER: i64 = 600_000;

/// For how many bytes there is room in an answer at first: one message in one room.
const ANSWER_BYTES: usize = 1536;

/// The longest name of a connection.
const MAX_CONN_ID: usize = 64;

/// Why a request of sliding sync was not answered.
#[derive(Debug, thiserror::Error)]
pub enum SlidingError {
    /// 400 `M_UNKNOWN_POS`: the client must start again without a `pos`.
    #[error(transparent)]
    UnknownPos(#[from] UnknownPos),
    /// 400 `M_INVALID_PARAM`: a limit was broken.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// 400 `M_INVALID_PARAM`: the token of an extension is not ours.
    #[error("the since of an extension: {0}")]
    Token(#[from] InvalidToken),
    /// 400 `M_INVALID_PARAM`: `limit` of an extension must be positive.
    #[error("the limit of an extension must be positive")]
    Limit,
    /// 400 `M_INVALID_PARAM`: the connection's name is too long.
    #[error("conn_id may have at most {MAX_CONN_ID} bytes")]
    ConnId,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Sync {
    /// Answers a request of the live sliding-sync dialect: at once if there is anything to tell or there is no `pos`,
    /// else when there is, at the latest after `timeout` (no time at all where absent).
    ///
    /// # Errors
    /// See [`SlidingError`].
    pub async fn sliding(
        &self,
        requester: &Requester,
        request: Box<SlidingRequest>,
        pos: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Bytes, SlidingError> {
        let (asked, turn) = boxed(self.enter(requester, request, pos, timeout)).await?;
        let answer = self.answer(&asked, turn).await;
        self.sends.answered(requester).await;
        answer
    }

    /// Everything up to where a request may wait. What comes out is little: there may be tens of thousands that do.
    async fn enter<'r>(
        &self,
        requester: &'r Requester,
        mut request: Box<SlidingRequest>,
        pos: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<(Asked<'r>, Turn), SlidingError> {
        let pos = pos.map(|pos| pos.parse::<ConnectionPos>().map_err(|_| UnknownPos)).transpose()?;
        let wanted = request.wanted(&requester.user_id, &self.wishes)?;
        let conn_id = request.conn_id.take().unwrap_or_default();
        if conn_id.len() > MAX_CONN_ID {
            return Err(SlidingError::ConnId);
        }
        let sticky = sticky_since(&request)?;
        let inbox = inbox_since(&request)?;
        let device_id = requester.device_id().map(ToString::to_string).unwrap_or_default();
        let id = ConnectionId { user_id: requester.user_id.clone(), device_id, conn_id };
        // A connection that never was takes no place from one that is.
        if pos.is_some()
            && !self.connections.has(&id)
            && !is_stored(&*self.engine.snapshot().await?, &id).await?
        {
            return Err(UnknownPos.into());
        }
        let live = self.connections.enter(&id);
        // The signal comes before any reading, so that no commit falls between.
        let signal = self.notifier.subscribe(&requester.user_id);
        let mine = self.begin(&id, &live, &request, pos.as_ref()).await?;
        // What was received is deleted only for a request that is good.
        if let (Some(device_id), Some(_)) = (requester.device_id(), &request.extensions.to_device.since) {
            self.inboxes.acknowledge(&requester.user_id, device_id, inbox).await;
        }
        let wait = if pos.is_some() { timeout.unwrap_or_default() } else { Duration::ZERO };
        let wait = wait.min(MOST_WAIT);
        let SlidingRequest { txn_id, form, .. } = *request;
        let over = live.turn.subscribe();
        let asked = Asked { requester, wanted, txn_id, form, pos, inbox, sticky, wait };
        Ok((asked, Turn { live, mine, over, signal }))
    }

    /// Goes on with the connection, or begins it; answers which turn of it the request has. An earlier request that still
    /// waits gives up.
    async fn begin(
        &self,
        id: &ConnectionId,
        live: &Live,
        request: &SlidingRequest,
        pos: Option<&ConnectionPos>,
    ) -> Result<u64, SlidingError> {
        let mut state = live.state.lock().await;
        let now = i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX);
        state.changed |= now.saturating_sub(state.used_at) > REWRITTEN_AFTER;
        let Some(pos) = pos else {
            state.used_at = now;
            state.changed = true;
            state.connection = Some(Connection::new(u64::from_le_bytes(self.env.random.bytes())));
            state.extensions = request.extensions.clone();
            state.counts = None;
            state.typing_missed.clear();
            state.fresh = true;
            return Ok(live.next_turn());
        };
        if state.connection.is_none() {
            let snapshot = self.engine.snapshot().await?;
            let Some((connection, extensions)) = restore(&*snapshot, id).await? else {
                return Err(UnknownPos.into());
            };
            // A position that the log has not reached was never given out, or the store lost it.
            if pos.position > snapshot.position().get() {
                return Err(UnknownPos.into());
            }
            state.connection = Some(connection);
            state.extensions = extensions;
        }
        let Some(connection) = &mut state.connection else { return Err(UnknownPos.into()) };
        connection.resume(pos)?;
        let mine = live.next_turn();
        // An answer without rooms is not worth a write: the next `pos` says all there is to it.
        let (unwritten, urgent) = (connection.unwritten().next().is_some(), connection.must_be_written());
        state.changed |= unwritten;
        let before = state.extensions.clone();
        if request.form == Form::Live {
            state.extensions.absorb(request.extensions.clone());
        } else {
            // In the merged form nothing of a request outlives it.
            state.extensions = request.extensions.clone();
        }
        let says_otherwise = before.differs(&state.extensions);
        state.changed |= says_otherwise;
        if state.changed {
            state.used_at = now;
        }
        // What no `pos` can carry is written before the next answer, for clients take a repetition badly: Element X's SDK
        // shows a room twice that it is sent anew. It is rare: a new room, another wish. Nor would a client say again what
        // it wants of extensions in the live dialect, where that is remembered. Where the write fails, it is tried again
        // behind.
        let is_remembered = request.form == Form::Live;
        if (state.fresh || urgent || (says_otherwise && is_remembered))
            && let Err(error) = write(&*self.engine, id, &mut state).await
        {
            tracing::debug!(%error, "a connection could not be written yet");
        }
        Ok(mine)
    }

    async fn answer(&self, asked: &Asked<'_>, mut turn: Turn) -> Result<Bytes, SlidingError> {
        let _waiting = self.waiters.enter();
        let slot = self.users.slot(&asked.requester.user_id);
        let mut limit = std::pin::pin!(tokio::time::sleep(asked.wait));
        loop {
            turn.signal.borrow_and_update();
            let over = asked.wait.is_zero() || limit.is_elapsed() || self.env.tasks.is_stopping();
            let quiet = if over || self.waiters.is_full() { Quiet::Answers } else { Quiet::Waits };
            let settled = match boxed(self.look(asked, &turn, &slot, quiet)).await? {
                Look::Answer(answer) => return Ok(answer),
                Look::Nothing { settled } => settled,
            };
            if !settled {
                continue;
            }
            tokio::select! {
                _ = turn.signal.changed() => {}
                _ = turn.over.changed() => return Ok(superseded(asked.pos.as_ref())),
                () = &mut limit => {}
                // The server goes; the client is answered and comes back to the next one.
                () = self.env.tasks.stopping() => {}
            }
        }
    }
}

/// Where the client stands in its inbox.
fn inbox_since(request: &SlidingRequest) -> Result<Pos, SlidingError> {
    let asked = &request.extensions.to_device;
    if asked.limit == Some(0) {
        return Err(SlidingError::Limit);
    }
    let since = asked.since.as_deref().map(str::parse::<InboxToken>).transpose()?;
    Ok(since.map_or(Pos::ZERO, |since| Pos::new(since.0)))
}

/// A request's turn of its connection, and what it waits for.
struct Turn {
    live: Arc<Live>,
    mine: u64,
    /// The connection's turns: the next one ends this.
    over: watch::Receiver<u64>,
    /// Commits that concern the user.
    signal: watch::Receiver<u64>,
}

impl Turn {
    fn is_over(&self) -> bool {
        *self.over.borrow() != self.mine
    }
}

impl Sync {
    /// Looks at what there is to tell to a request whose turn it is, or was.
    async fn look(
        &self,
        asked: &Asked<'_>,
        turn: &Turn,
        slot: &Slot,
        quiet: Quiet,
    ) -> Result<Look, SlidingError> {
        let _place = slot.place().await;
        let mut state = turn.live.state.lock().await;
        if turn.is_over() {
            // The client has asked again and will not look at this answer.
            return Ok(Look::Answer(superseded(asked.pos.as_ref())));
        }
        // What goes to one device is read anew each time; whoever asks for that begins with a snapshot.
        let reads = state.extensions.to_device.enabled == Some(true) || state.extensions.e2ee.is_on();
        let seen = state.connection.as_ref().filter(|connection| !connection.is_new() && !reads);
        let known = seen.map_or(View::Store, |connection| View::Known(connection.seen().position));
        let (made, settled) = match self.attempt(asked, &mut state, slot, known, quiet).await {
            Err(SlidingError::Read(ReadError::Moved)) => {
                self.attempt(asked, &mut state, slot, View::Store, quiet).await?
            }
            attempt => attempt?,
        };
        if made.is_news || quiet == Quiet::Answers {
            return Ok(Look::Answer(finish(asked, &mut state, made)));
        }
        Ok(Look::Nothing { settled })
    }

    /// One answer, and whether whoever it is for is woken by all that comes after it.
    async fn attempt(
        &self,
        asked: &Asked<'_>,
        state: &mut LiveState,
        slot: &Slot,
        view: View,
        quiet: Quiet,
    ) -> Result<(Made, bool), SlidingError> {
        let reading = self.users.read(&self.engine, &asked.requester.user_id, slot, view, quiet).await?;
        let settled = !reading.came || *self.engine.positions().borrow() <= reading.snapshot.position();
        Ok((Making { sync: self, asked, state }.make(reading).await?, settled))
    }
}

/// Up to where the client says it was told of sticky events; it may not have said so for long.
fn sticky_since(request: &SlidingRequest) -> Result<StickyToken, SlidingError> {
    let said = [&request.extensions.sticky_events, &request.extensions.unstable_sticky_events];
    if said.iter().any(|said| said.limit == Some(0)) {
        return Err(SlidingError::Limit);
    }
    let since = said.iter().find_map(|said| said.since.as_deref());
    Ok(since.map(str::parse).transpose()?.unwrap_or_default())
}

/// A request as it is worked on.
pub(crate) struct Asked<'r> {
    pub(crate) requester: &'r Requester,
    pub(crate) wanted: Wanted,
    /// Comes back in the answer.
    pub(crate) txn_id: Option<String>,
    pub(crate) form: Form,
    pub(crate) pos: Option<ConnectionPos>,
    /// Where the client stands in its inbox.
    pub(crate) inbox: Pos,
    /// Up to where the client was told of sticky events.
    pub(crate) sticky: StickyToken,
    /// How long it may wait for something to tell.
    pub(crate) wait: Duration,
}

/// The answer that the connection remembers, as JSON.
fn finish(asked: &Asked<'_>, state: &mut LiveState, mut made: Made) -> Bytes {
    state.counts = made.counts;
    let Some(connection) = &mut state.connection else { return superseded(asked.pos.as_ref()) };
    let pos = connection.finish(made.progress);
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    // Nothing of it can fail to be written: names are texts, and numbers are whole.
    made.answer.set_pos(pos.to_string());
    let _ = serde_json::to_writer(&mut answer, &made.answer);
    Bytes::from(answer)
}

/// To a request that another one of the same connection has overtaken: nothing, and where the client stood.
fn superseded(pos: Option<&ConnectionPos>) -> Bytes {
    let pos = pos.map(ToString::to_string).unwrap_or_default();
    let answer = serde_json::json!({ "pos": pos, "lists": {}, "rooms": {}, "extensions": {} });
    Bytes::from(answer.to_string())
}
