//! Administration over HTTP, below `/_myelin/admin/v1`: what the commands of the same names do, by the same services. Only
//! administrators may call it (the route table says so), and each act is written into the audit log under their name.

pub(crate) mod audit;
pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod invitations;
pub(crate) mod providers;
pub(crate) mod registration_tokens;
pub(crate) mod sessions;
pub mod shown;

use ruma::OwnedUserId;
use serde::Deserialize;

use crate::Error;

/// As many are listed where nobody says how many, and never more than so many.
const PAGE: usize = 100;
const MOST: usize = 1_000;

/// Which page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// What comes after this, as `next` of the page before says it.
    after: Option<String>,
    limit: Option<usize>,
}

impl Page {
    /// How many are wanted.
    fn limit(&self) -> Result<usize, Error> {
        limit(self.limit)
    }
}

fn limit(asked: Option<usize>) -> Result<usize, Error> {
    match asked {
        Some(0) => Err(Error::invalid_param("The limit must be at least 1.")),
        asked => Ok(asked.unwrap_or(PAGE).min(MOST)),
    }
}

/// The user that a path names.
fn user(name: String) -> Result<OwnedUserId, Error> {
    OwnedUserId::try_from(name).map_err(|_| Error::invalid_param("The path holds no user id."))
}
