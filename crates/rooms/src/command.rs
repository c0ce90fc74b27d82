//! What an owner is asked to do.

use myelin_model::{EventNid, RoomNid};
use myelin_pdu::CanonicalObject;
use myelin_store::schema::erasure::RedactionSweep;
use myelin_store::schema::moderation::RoomJob;
use myelin_store::schema::rooms::DELAY_PREFIX;
use ruma::{OwnedEventId, OwnedUserId};
use tokio::sync::oneshot;

use crate::SendError;

/// An event somebody wants to send, before its place in the room is known.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its `type`.
    pub kind: String,
    /// Its `state_key`, for a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalObject,
    /// The event a redaction redacts.
    pub redacts: Option<OwnedEventId>,
    /// For how many milliseconds it is to be sticky (MSC4354), if at all: at most [`myelin_pdu::MAX_STICKY_MS`].
    pub sticky: Option<i64>,
}

/// A transaction id in its scope: the session, and the endpoint with what it acts on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransactionKey {
    /// The session that chose the id.
    pub session: i64,
    /// The endpoint and what it acts on, such as `send/!room/m.room.message`.
    pub scope: String,
    /// The id the client chose.
    pub txn_id: String,
}

/// What became of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The event's id; for a repeated transaction, that of the first.
    pub event_id: OwnedEventId,
    /// The room it is in.
    pub room: RoomNid,
}

impl TransactionKey {
    /// The id as an event's header keeps it: that of a delayed event bears a prefix.
    pub(crate) fn shown(&self) -> String {
        if self.scope == crate::delayed::SCOPE {
            format!("{DELAY_PREFIX}{}", self.txn_id)
        } else {
            self.txn_id.clone()
        }
    }
}

/// What an owner answers: the event, where one was sent.
pub(crate) type Answer = Option<Sent>;

/// One request to the owner.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) what: What,
    pub(crate) reply: oneshot::Sender<Result<Answer, SendError>>,
}

/// What is asked of the owner.
#[derive(Debug)]
pub(crate) enum What {
    /// To send an event.
    Send(Draft, Option<TransactionKey>),
    /// To redact what a kick or ban takes along, page by page.
    Sweep(SweepPage),
    /// To delete events, page by page.
    Purge(Box<PurgePage>),
    /// To delete events that are past their retention, page by page.
    Expire(ExpirePage),
}

/// A page of a purge of history.
#[derive(Clone, Debug)]
pub(crate) struct PurgePage {
    /// The job as it was when the page was read.
    pub(crate) job: RoomJob,
    /// The events that go: none of them is state.
    pub(crate) events: Vec<EventNid>,
    /// The order of the oldest event that stays: what was below it, nobody has to read any more.
    pub(crate) below: i64,
    /// The job after the page.
    pub(crate) next: RoomJob,
}

/// A page of events that are past their retention.
#[derive(Clone, Debug)]
pub(crate) struct ExpirePage {
    pub(crate) events: Vec<EventNid>,
    /// As of [`PurgePage`].
    pub(crate) below: i64,
}

/// A page of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct SweepPage {
    /// The sweep as it was when the page was read.
    pub(crate) sweep: RedactionSweep,
    /// The events of the page.
    pub(crate) events: Vec<EventNid>,
    /// What is left below this order after the page; nothing if it is the last one.
    pub(crate) next: Option<i64>,
}
