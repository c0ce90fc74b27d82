//! Saved filters (client-server API, "Filtering").

use bytes::Bytes;
use myelin_model::Requester;
use myelin_store::schema::users::{Filter, FilterUse};
use myelin_store::{CommitError, Planned, ReadError, Reader};
use ruma::UserId;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::{Users, is_own};

/// The largest filter, in bytes.
pub const MAX_FILTER: usize = 64 * 1_024;

/// How many filters a user may save. A client saves one or two, and saving the same again adds none.
pub const MAX_FILTERS: i64 = 500;

/// How many bytes a user's filters may have together.
const MAX_BYTES: i64 = 1 << 20;

/// Why a filter was not saved or read.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is somebody else's.
    #[error("filters can be saved and read by their own user only")]
    NotYours,
    /// It is no JSON object.
    #[error("a filter must be a JSON object")]
    NotAnObject,
    /// It is larger than [`MAX_FILTER`].
    #[error("a filter may have at most {MAX_FILTER} bytes")]
    TooLarge,
    /// The user has saved too many.
    #[error("you have saved too many filters; use one of those you have, or pass the filter itself")]
    TooMany,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Users {
    /// Saves a filter and answers with its id, which is made of what it says: the same filter has the same id.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub async fn save_filter(
        &self,
        requester: &Requester,
        user_id: &UserId,
        json: Bytes,
    ) -> Result<String, FilterError> {
        if !is_own(requester, user_id) {
            return Err(FilterError::NotYours);
        }
        if json.len() > MAX_FILTER {
            return Err(FilterError::TooLarge);
        }
        if json.first() != Some(&b'{') || serde_json::from_slice::<IgnoredAny>(&json).is_err() {
            return Err(FilterError::NotAnObject);
        }
        let filter_id = id_of(&json);
        let (user_id, size) = (user_id.to_owned(), i64::try_from(json.len()).unwrap_or(i64::MAX));
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            if snapshot.get::<Filter>(&(user_id.clone(), filter_id.clone())).await?.is_some() {
                return Ok(filter_id);
            }
            let key = (user_id.clone(),);
            let mut batch = self.batch(&user_id);
            let used = match snapshot.get::<FilterUse>(&key).await? {
                Some(used) => {
                    batch.expect_column::<FilterUse>(&key, "filters", &used.filters);
                    used
                }
                None => {
                    batch.expect_absent::<FilterUse>(&key);
                    FilterUse { user_id: user_id.clone(), filters: 0, bytes: 0 }
                }
            };
            drop(snapshot);
            if used.filters >= MAX_FILTERS || used.bytes + size > MAX_BYTES {
                return Err(FilterError::TooMany);
            }
            batch.put(&FilterUse { filters: used.filters + 1, bytes: used.bytes + size, ..used });
            let (user_id, filter_id) = (user_id.clone(), filter_id.clone());
            batch.put(&Filter { user_id, filter_id: filter_id.clone(), json: json.clone() });
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(filter_id);
            }
        }
    }

    /// A saved filter, as it was saved.
    ///
    /// # Errors
    /// See [`FilterError`].
    pub async fn filter(
        &self,
        requester: &Requester,
        user_id: &UserId,
        filter_id: &str,
    ) -> Result<Option<Bytes>, FilterError> {
        if !is_own(requester, user_id) {
            return Err(FilterError::NotYours);
        }
        let key = (user_id.to_owned(), filter_id.to_owned());
        Ok(self.engine.get_now::<Filter>(&key).await?.map(|row| row.json))
    }
}

/// 128 bits of the SHA-256, in hexadecimal: never mistaken for a filter that is written out, which begins with `{`.
fn id_of(json: &[u8]) -> String {
    Sha256::digest(json).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
