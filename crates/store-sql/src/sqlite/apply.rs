//! One batch inside a transaction.

use myelin_model::Fence;
use myelin_store::schema::node::ShardEpoch;
use myelin_store::{
    Batch, CommitError, Datum, Expect, Expectation, Keyspace, KeyspaceDef, Malformed, Op, Scan,
};
use rusqlite::{Connection, types::ValueRef};

use super::failure::is_refusal;
use super::value::bind;
use crate::dialect::Dialect;
use crate::range;
use crate::statement::{Statements, Undeclared};

/// Why a batch was not applied.
#[derive(Debug)]
pub(super) enum Rejection {
    /// It is refused alone: the transaction has nothing of it and goes on.
    Batch(CommitError),
    /// SQLite failed; nothing in the transaction can be kept.
    Transaction(rusqlite::Error),
}

impl From<rusqlite::Error> for Rejection {
    fn from(error: rusqlite::Error) -> Self {
        Self::Transaction(error)
    }
}

impl From<Undeclared> for Rejection {
    fn from(problem: Undeclared) -> Self {
        Self::Batch(CommitError::Unavailable(Box::new(problem)))
    }
}

type Applied = Result<(), Rejection>;

/// Checks the batch against the store and applies it; its positions begin at `first`.
pub(super) fn apply(connection: &Connection, statements: &Statements, batch: &Batch, first: i64) -> Applied {
    check_fence(connection, statements, batch.fence)?;
    batch.expects.iter().try_for_each(|expect| check_expectation(connection, statements, expect, first))?;
    let declared = |op: &Op| match op {
        Op::Put { keyspace, .. } | Op::Delete { keyspace, .. } | Op::Add { keyspace, .. } => {
            statements.of(keyspace).map(drop)
        }
        Op::DeleteRange(scan) => statements.of(scan.keyspace).map(drop),
    };
    batch.ops.iter().try_for_each(declared)?;
    let write = || batch.ops.iter().try_for_each(|op| apply_op(connection, statements, op, first));
    // Only an addition can be refused after the checks; only then a way back is worth its cost.
    if !batch.ops.iter().any(|op| matches!(op, Op::Add { .. })) {
        return write();
    }
    connection.prepare_cached("SAVEPOINT batch")?.raw_execute()?;
    let written = write();
    if matches!(written, Err(Rejection::Batch(_))) {
        connection.prepare_cached("ROLLBACK TO batch")?.raw_execute()?;
    }
    if !matches!(written, Err(Rejection::Transaction(_))) {
        connection.prepare_cached("RELEASE batch")?.raw_execute()?;
    }
    written
}

fn check_fence(connection: &Connection, statements: &Statements, fence: Fence) -> Applied {
    let get = &statements.of(ShardEpoch::DEF)?.get;
    let mut statement = connection.prepare_cached(get)?;
    statement.raw_bind_parameter(1, fence.shard.number())?;
    let mut rows = statement.raw_query();
    let epoch: Option<i64> = rows.next()?.map(|row| row.get(1)).transpose()?;
    if epoch == Some(fence.epoch.0) {
        Ok(())
    } else {
        Err(Rejection::Batch(CommitError::Fenced(fence.shard)))
    }
}

fn check_expectation(
    connection: &Connection,
    statements: &Statements,
    expect: &Expect,
    first: i64,
) -> Applied {
    let mut statement = connection.prepare_cached(&statements.of(expect.keyspace)?.get)?;
    bind(&mut statement, &expect.key, first)?;
    let mut rows = statement.raw_query();
    let row = rows.next()?;
    let holds = match (&expect.expectation, row) {
        (Expectation::Absent, row) => row.is_none(),
        (Expectation::Present, row) => row.is_some(),
        (Expectation::Column(..), None) => false,
        (Expectation::Column(n, value), Some(row)) => is_equal(row.get_ref(*n)?, value, first),
    };
    if holds { Ok(()) } else { Err(conflict(expect.keyspace)) }
}

fn is_equal(found: ValueRef<'_>, expected: &Datum, first: i64) -> bool {
    match (found, expected) {
        (ValueRef::Null, Datum::Null) => true,
        (ValueRef::Integer(found), Datum::Int(expected)) => found == *expected,
        (ValueRef::Integer(found), Datum::Pending(n)) => found == first + i64::from(*n),
        (ValueRef::Text(found), Datum::Text(expected)) => found == expected.as_bytes(),
        (ValueRef::Blob(found), Datum::Bytes(expected)) => found == expected.as_ref(),
        _ => false,
    }
}

fn apply_op(connection: &Connection, statements: &Statements, op: &Op, first: i64) -> Applied {
    match op {
        Op::Put { keyspace, row } => run(connection, &statements.of(keyspace)?.put, row, first).map(drop),
        Op::Delete { keyspace, key } => {
            run(connection, &statements.of(keyspace)?.delete, key, first).map(drop)
        }
        Op::DeleteRange(scan) => delete_range(connection, &scan.clone().resolve(first)),
        Op::Add { keyspace, key, column, delta } => {
            let statements = statements.of(keyspace)?;
            let Some(text) = statements.add.get(*column) else { return Err(conflict(keyspace)) };
            let delta = Datum::Int(*delta);
            match run(connection, text, key.iter().chain([&delta]), first) {
                Ok(0) => Err(conflict(keyspace)),
                Err(Rejection::Transaction(error)) if is_refusal(&error) => {
                    let problem = "a counter would pass the end of its range";
                    let malformed = Malformed { keyspace: keyspace.name, problem };
                    Err(Rejection::Batch(malformed.into()))
                }
                other => other.map(drop),
            }
        }
    }
}

fn delete_range(connection: &Connection, scan: &Scan) -> Applied {
    for piece in range::pieces(scan) {
        let query = piece.delete(Dialect::Sqlite, scan);
        run(connection, &query.text, query.parameters, 0)?;
    }
    Ok(())
}

/// Runs a statement; how many rows it changed.
fn run<'d>(
    connection: &Connection,
    text: &str,
    values: impl IntoIterator<Item = &'d Datum>,
    first: i64,
) -> Result<usize, Rejection> {
    let mut statement = connection.prepare_cached(text)?;
    bind(&mut statement, values, first)?;
    Ok(statement.raw_execute()?)
}

fn conflict(keyspace: &KeyspaceDef) -> Rejection {
    Rejection::Batch(CommitError::Conflict { keyspace: keyspace.name })
}
