//! What the server has acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use myelin_reliability::Session;

/// A message by its writer and its number: the writer's first has 1.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) writer: String,
    pub(crate) number: usize,
}

/// What the server has acknowledged. When all writers rest, the messages, redactions, to-device messages, account
/// data and receipts here are all that was ever asked for; of the rest, some requests' fate is unknown.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Messages of a room by event id.
    pub(crate) messages: BTreeMap<String, HashMap<String, Message>>,
    /// How many messages a writer has sent to a room.
    pub(crate) counts: BTreeMap<(String, String), usize>,
    /// Redactions of a room: their own event ids, with the events they redact.
    pub(crate) redactions: BTreeMap<String, BTreeMap<String, String>>,
    /// State events of a room.
    pub(crate) state: BTreeMap<String, BTreeSet<String>>,
    /// How many to-device messages a user has sent to the walkers' devices.
    pub(crate) to_device: BTreeMap<String, u64>,
    /// The newest value of account data, by path, with its owner.
    pub(crate) account_data: BTreeMap<String, (Session, u64)>,
    /// The reader's newest receipt in a room.
    pub(crate) receipts: BTreeMap<String, String>,
    /// Files since the last check, and all.
    pub(crate) new_files: Vec<(String, Bytes)>,
    pub(crate) files: Vec<(String, Bytes)>,
    /// Rooms that the keeper made.
    pub(crate) rooms: BTreeSet<String>,
    /// Sessions that are on, and tokens of those that were ended.
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) ended: Vec<String>,
    pub(crate) logins: u64,
    pub(crate) refreshes: u64,
    /// How many one-time keys were uploaded, who claimed which, and how many claims had no answer.
    pub(crate) uploaded_keys: u64,
    pub(crate) claimed_keys: BTreeMap<u64, String>,
    pub(crate) lost_claims: u64,
    /// How often a transaction was repeated after it had been acknowledged.
    pub(crate) repeats: u64,
}
