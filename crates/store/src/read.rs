//! Typed reads over a snapshot.

use crate::{Datum, Field, KeyTuple, Keyspace, ReadError, RowError, Scan, Snapshot};

/// Reads one column of a row; used by the code that [`crate::keyspace!`] makes.
///
/// # Errors
/// When the column is missing or holds something else.
pub fn decode<T: Field>(
    datum: Option<Datum>,
    keyspace: &'static str,
    column: &'static str,
) -> Result<T, RowError> {
    let problem = match datum {
        Some(datum) => match T::from_datum(datum) {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        },
        None => "the row has too few columns".to_owned(),
    };
    Err(RowError { keyspace, column, problem })
}

/// Typed reads, for every snapshot.
#[allow(async_fn_in_trait, reason = "implemented once, below, and its futures are Send")]
pub trait Reader {
    /// The row with this key.
    ///
    /// # Errors
    /// When the store can't be read.
    fn get<K: Keyspace>(&self, key: &K::Key) -> impl Future<Output = Result<Option<K>, ReadError>> + Send;

    /// The rows with these keys, in their order.
    ///
    /// # Errors
    /// When the store can't be read.
    fn get_all<K: Keyspace>(
        &self,
        keys: &[K::Key],
    ) -> impl Future<Output = Result<Vec<Option<K>>, ReadError>> + Send;

    /// The rows of one scan.
    ///
    /// # Errors
    /// When the store can't be read.
    fn scan<K: Keyspace>(&self, scan: Scan) -> impl Future<Output = Result<Vec<K>, ReadError>> + Send;

    /// The rows of several scans of one keyspace, in one round trip; in none where there are no scans.
    ///
    /// # Errors
    /// When the store can't be read.
    fn scan_all<K: Keyspace>(
        &self,
        scans: Vec<Scan>,
    ) -> impl Future<Output = Result<Vec<Vec<K>>, ReadError>> + Send;
}

impl Reader for dyn Snapshot + '_ {
    fn get<K: Keyspace>(&self, key: &K::Key) -> impl Future<Output = Result<Option<K>, ReadError>> + Send {
        let keys = vec![key.to_datums()];
        async move {
            let row = self.get_many(K::DEF, keys).await?.pop().flatten();
            Ok(row.map(K::from_row).transpose()?)
        }
    }

    fn get_all<K: Keyspace>(
        &self,
        keys: &[K::Key],
    ) -> impl Future<Output = Result<Vec<Option<K>>, ReadError>> + Send {
        let keys: Vec<_> = keys.iter().map(KeyTuple::to_datums).collect();
        async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let rows = self.get_many(K::DEF, keys).await?;
            rows.into_iter().map(|row| Ok(row.map(K::from_row).transpose()?)).collect()
        }
    }

    async fn scan<K: Keyspace>(&self, scan: Scan) -> Result<Vec<K>, ReadError> {
        let rows = self.scan_many(vec![scan]).await?.pop().unwrap_or_default();
        rows.into_iter().map(|row| Ok(K::from_row(row)?)).collect()
    }

    async fn scan_all<K: Keyspace>(&self, scans: Vec<Scan>) -> Result<Vec<Vec<K>>, ReadError> {
        if scans.is_empty() {
            return Ok(Vec::new());
        }
        let each = self.scan_many(scans).await?;
        each.into_iter().map(|rows| rows.into_iter().map(|row| Ok(K::from_row(row)?)).collect()).collect()
    }
}
