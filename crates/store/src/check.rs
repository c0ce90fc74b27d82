//! Whether keys, rows, scans and batches fit their declarations: checked the same way by every engine, so that a
//! mistake shows in the first test and not in a table.

use std::ops::Bound;

use crate::{
    Batch, ColumnType, CommitError, Datum, Expectation, KeyspaceDef, MAX_BATCH_BYTES, Op, ReadError, Scan,
};

/// A key, row, scan or batch does not fit the declaration of its keyspace: a mistake in the calling code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyspace {keyspace}: {problem}")]
pub struct Malformed {
    /// The keyspace concerned.
    pub keyspace: &'static str,
    /// What does not fit.
    pub problem: &'static str,
}

impl From<Malformed> for ReadError {
    fn from(problem: Malformed) -> Self {
        Self::Unavailable(Box::new(problem))
    }
}

/// Where placeholders stand: allowed below this number.
#[derive(Clone, Copy)]
struct Pending(u32);

impl Batch {
    /// Checks the batch's size and that all of it fits the declarations. Engines call it before they apply
    /// anything.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] or [`CommitError::Malformed`].
    pub fn check(&self) -> Result<(), CommitError> {
        let size = self.size();
        if size > MAX_BATCH_BYTES {
            return Err(CommitError::TooLarge(size));
        }
        let pending = Pending(self.positions);
        for expect in &self.expects {
            check_key(expect.keyspace, &expect.key, pending)?;
            if let Expectation::Column(column, value) = &expect.expectation {
                check_value(expect.keyspace, *column, value, pending)?;
            }
        }
        for op in &self.ops {
            match op {
                Op::Put { keyspace, row } => check_row(keyspace, row, pending)?,
                Op::Delete { keyspace, key } => check_key(keyspace, key, pending)?,
                Op::DeleteRange(scan) => check_scan(scan, pending)?,
                Op::Add { keyspace, key, column, .. } => {
                    check_key(keyspace, key, pending)?;
                    check_counter(keyspace, *column)?;
                }
            }
        }
        Ok(())
    }
}

impl Scan {
    /// Checks that prefix and bounds fit the columns that the scan is ordered by.
    ///
    /// # Errors
    /// When they don't.
    pub fn check(&self) -> Result<(), Malformed> {
        check_scan(self, Pending(0))
    }
}

impl KeyspaceDef {
    /// Checks that a key has the form of this keyspace's.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check_key(&self, key: &[Datum]) -> Result<(), Malformed> {
        check_key(self, key, Pending(0))
    }
}

fn check_key(keyspace: &KeyspaceDef, key: &[Datum], pending: Pending) -> Result<(), Malformed> {
    if key.len() != keyspace.key_len {
        return Err(Malformed { keyspace: keyspace.name, problem: "a key has another number of columns" });
    }
    key.iter().enumerate().try_for_each(|(n, datum)| check_value(keyspace, n, datum, pending))
}

fn check_row(keyspace: &KeyspaceDef, row: &[Datum], pending: Pending) -> Result<(), Malformed> {
    if row.len() != keyspace.columns.len() {
        return Err(Malformed { keyspace: keyspace.name, problem: "a row has another number of columns" });
    }
    row.iter().enumerate().try_for_each(|(n, datum)| check_value(keyspace, n, datum, pending))
}

fn check_scan(scan: &Scan, pending: Pending) -> Result<(), Malformed> {
    let order = scan.order();
    let check = |offset: usize, datums: &[Datum]| {
        datums.iter().enumerate().try_for_each(|(n, datum)| match order.get(offset + n) {
            Some(column) => check_value(scan.keyspace, *column, datum, pending),
            None => Err(Malformed {
                keyspace: scan.keyspace.name,
                problem: "a scan names more columns than its order has",
            }),
        })
    };
    check(0, &scan.prefix)?;
    for bound in [&scan.lower, &scan.upper] {
        match bound {
            Bound::Unbounded => {}
            Bound::Included(datums) | Bound::Excluded(datums) => check(scan.prefix.len(), datums)?,
        }
    }
    Ok(())
}

fn check_counter(keyspace: &KeyspaceDef, number: usize) -> Result<(), Malformed> {
    let fits = keyspace.columns.get(number).is_some_and(|column| {
        column.kind == ColumnType::Int && !column.nullable && number >= keyspace.key_len
    });
    let problem = "only an integer outside the key that is never null can be added to";
    if fits { Ok(()) } else { Err(Malformed { keyspace: keyspace.name, problem }) }
}

fn check_value(
    keyspace: &KeyspaceDef,
    number: usize,
    datum: &Datum,
    pending: Pending,
) -> Result<(), Malformed> {
    let malformed = |problem| Err(Malformed { keyspace: keyspace.name, problem });
    let Some(column) = keyspace.columns.get(number) else {
        return malformed("there is no column of that number");
    };
    match (datum, column.kind) {
        (Datum::Null, _) if column.nullable => Ok(()),
        (Datum::Null, _) => malformed("null in a column that is never null"),
        (Datum::Pending(n), ColumnType::Int) if *n < pending.0 => Ok(()),
        (Datum::Pending(_), _) => malformed("a pending position that the batch does not take"),
        (Datum::Int(_), ColumnType::Int)
        | (Datum::Text(_), ColumnType::Text)
        | (Datum::Bytes(_), ColumnType::Bytes) => Ok(()),
        _ => malformed("a value of another type than its column"),
    }
}
