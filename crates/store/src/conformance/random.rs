//! Generators of rows, scans and batches over the [`KEYSPACES`](super::KEYSPACES), with few distinct values so that
//! they often meet.

use std::ops::Bound;

use myelin_model::{Epoch, Fence, RoomNid, Shard, Topic};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::KEYSPACES;
use crate::{
    Batch, Column, ColumnType, Datum, Direction, Durability, Expect, Expectation, KeyspaceDef, Op, Row, Scan,
};

const BYTES: &[&[u8]] = &[b"", b"\0", b"\0\xff", b"\x01", b"\xff"];

/// A value of the column; a pending position below `positions` now and then.
pub fn datum(column: &'static Column, positions: u32) -> BoxedStrategy<Datum> {
    let value = match column.kind {
        ColumnType::Int if positions > 0 => {
            prop_oneof![3 => (0_i64..5).prop_map(Datum::Int), 1 => (0..positions).prop_map(Datum::Pending)]
                .boxed()
        }
        ColumnType::Int => prop_oneof![9 => 0_i64..5, 1 => select(&[i64::MIN, -1, i64::MAX][..])]
            .prop_map(Datum::Int)
            .boxed(),
        ColumnType::Text => {
            select(&["", "a", "a\0", "ab", "b", "é"][..]).prop_map(|text| Datum::Text(text.into())).boxed()
        }
        ColumnType::Bytes => select(BYTES).prop_map(|bytes| Datum::Bytes(bytes.into())).boxed(),
    };
    if column.nullable { prop_oneof![1 => Just(Datum::Null), 2 => value].boxed() } else { value }
}

fn datums(columns: impl Iterator<Item = &'static Column>, positions: u32) -> BoxedStrategy<Vec<Datum>> {
    columns.map(|column| datum(column, positions)).collect::<Vec<_>>().boxed()
}

/// A whole row.
pub fn row(keyspace: &'static KeyspaceDef, positions: u32) -> BoxedStrategy<Row> {
    datums(keyspace.columns.iter(), positions).prop_map(Into::into).boxed()
}

/// A key.
pub fn key(keyspace: &'static KeyspaceDef, positions: u32) -> BoxedStrategy<Vec<Datum>> {
    datums(keyspace.columns[..keyspace.key_len].iter(), positions)
}

/// A scan of any shape: any order, prefix, bounds, direction and limit.
pub fn scan(keyspace: &'static KeyspaceDef, positions: u32) -> BoxedStrategy<Scan> {
    let index = (0..=keyspace.indexes.len()).prop_map(|n| n.checked_sub(1).map(|n| &keyspace.indexes[n]));
    let with_prefix = index.prop_flat_map(move |index| {
        let order = keyspace.order(index);
        (Just(index), 0..=order.len())
    });
    with_prefix
        .prop_flat_map(move |(index, split)| {
            let order = keyspace.order(index);
            let columns = |range: &[usize]| {
                let columns: Vec<_> = range.iter().map(|n| &keyspace.columns[*n]).collect();
                datums(columns.into_iter(), positions)
            };
            let rest = order.len() - split;
            let side = || (0..3_u8, columns(&order[split..]), 0..=rest).prop_map(bound);
            let direction = select(&[Direction::Forward, Direction::Backward][..]);
            let limit = select(&[0, 1, 2, 5, usize::MAX, usize::MAX][..]);
            (columns(&order[..split]), side(), side(), direction, limit).prop_map(
                move |(prefix, lower, upper, direction, limit)| Scan {
                    keyspace,
                    index,
                    prefix,
                    lower,
                    upper,
                    direction,
                    limit,
                },
            )
        })
        .boxed()
}

fn bound((kind, mut columns, len): (u8, Vec<Datum>, usize)) -> Bound<Vec<Datum>> {
    columns.truncate(len);
    match kind {
        0 => Bound::Unbounded,
        1 => Bound::Included(columns),
        _ => Bound::Excluded(columns),
    }
}

fn op(keyspace: &'static KeyspaceDef, positions: u32) -> BoxedStrategy<Op> {
    let put = row(keyspace, positions).prop_map(move |row| Op::Put { keyspace, row });
    let delete = key(keyspace, positions).prop_map(move |key| Op::Delete { keyspace, key });
    let range = scan(keyspace, positions).prop_map(Op::DeleteRange);
    let counters: Vec<usize> = (keyspace.key_len..keyspace.columns.len())
        .filter(|n| keyspace.columns[*n].kind == ColumnType::Int && !keyspace.columns[*n].nullable)
        .collect();
    if counters.is_empty() {
        return prop_oneof![12 => put, 3 => delete, 1 => range].boxed();
    }
    let add = (key(keyspace, positions), select(counters), -3_i64..4)
        .prop_map(move |(key, column, delta)| Op::Add { keyspace, key, column, delta });
    prop_oneof![12 => put, 3 => delete, 1 => range, 1 => add].boxed()
}

fn expect(keyspace: &'static KeyspaceDef, positions: u32) -> BoxedStrategy<Expect> {
    let column = (0..keyspace.columns.len()).prop_flat_map(move |n| {
        datum(&keyspace.columns[n], positions).prop_map(move |value| Expectation::Column(n, value))
    });
    let expectation =
        prop_oneof![5 => Just(Expectation::Absent), 2 => Just(Expectation::Present), 1 => column];
    (key(keyspace, positions), expectation)
        .prop_map(move |(key, expectation)| Expect { keyspace, key, expectation })
        .boxed()
}

/// A batch under a fence that the caller replaces.
pub fn batch() -> impl Strategy<Value = Batch> {
    let fence = Fence { shard: Shard::of(""), epoch: Epoch(0) };
    (0..4_u32).prop_flat_map(move |positions| {
        let ops = vec(select(KEYSPACES).prop_flat_map(move |keyspace| op(keyspace, positions)), 0..12);
        let expects = vec(select(KEYSPACES).prop_flat_map(move |keyspace| expect(keyspace, positions)), 0..2);
        (ops, expects, any::<bool>()).prop_map(move |(ops, expects, lag)| Batch {
            fence,
            expects,
            ops,
            positions,
            topics: vec![Topic::Room(RoomNid(1))],
            durability: if lag { Durability::MayLag } else { Durability::Required },
        })
    })
}
