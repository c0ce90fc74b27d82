//! Device keys, one-time keys and cross-signing.

pub(crate) mod changes;
pub(crate) mod claim;
pub(crate) mod device_signing;
mod error;
pub(crate) mod query;
pub(crate) mod signatures;
pub(crate) mod upload;

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedServerName;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Error;

/// Stored JSON, to be written as it is.
fn raw(stored: &[u8]) -> Result<&RawValue, Error> {
    serde_json::from_slice(stored).map_err(|error| Error::internal(&error))
}

/// The `failures` of an answer that would have needed other servers.
fn failures(unreachable: &BTreeSet<OwnedServerName>) -> BTreeMap<&str, Value> {
    let failure = || json!({ "errcode": "M_UNKNOWN", "error": "This server can't reach that server." });
    unreachable.iter().map(|server| (server.as_str(), failure())).collect()
}
