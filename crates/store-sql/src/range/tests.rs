//! The database answers every piece from one index, reading only what it answers. (That the pieces together are the
//! scan is what the conformance suite checks.)

use myelin_store::conformance::KEYSPACES;
use myelin_store::{Direction, IndexDef, schema};
use rusqlite::Connection;

use super::*;
use crate::ddl;

const DIALECT: Dialect = Dialect::Sqlite;

fn value(kind: ColumnType) -> Datum {
    match kind {
        ColumnType::Int => Datum::Int(7),
        ColumnType::Text => Datum::Text("m".into()),
        ColumnType::Bytes => Datum::Bytes(Bytes::from_static(b"m")),
    }
}

/// Every mixture of values and nulls that the columns may have.
fn tuples(keyspace: &KeyspaceDef, columns: &[usize]) -> Vec<Vec<Datum>> {
    columns.iter().fold(vec![vec![]], |tuples, n| {
        let column = &keyspace.columns[*n];
        let null = column.nullable.then_some(Datum::Null);
        let values: Vec<Datum> = std::iter::once(value(column.kind)).chain(null).collect();
        tuples.iter().flat_map(|tuple| values.iter().map(|value| with(tuple, value))).collect()
    })
}

fn bounds(keyspace: &KeyspaceDef, rest: &[usize]) -> Vec<Bound<Vec<Datum>>> {
    let mut bounds = vec![Bound::Unbounded];
    for len in 1..=rest.len().min(2) {
        for tuple in tuples(keyspace, &rest[..len]) {
            bounds.extend([Bound::Included(tuple.clone()), Bound::Excluded(tuple)]);
        }
    }
    bounds
}

fn scans(keyspace: &'static KeyspaceDef, index: Option<&'static IndexDef>) -> Vec<Scan> {
    let order = keyspace.order(index);
    let mut scans = Vec::new();
    for len in 0..=order.len() {
        let rest = &order[len..];
        for prefix in tuples(keyspace, &order[..len]) {
            for lower in bounds(keyspace, rest) {
                for upper in bounds(keyspace, rest) {
                    for direction in [Direction::Forward, Direction::Backward] {
                        let (prefix, lower) = (prefix.clone(), lower.clone());
                        let upper = upper.clone();
                        scans.push(Scan { keyspace, index, prefix, lower, upper, direction, limit: 3 });
                    }
                }
            }
        }
    }
    scans
}

fn plan(connection: &Connection, query: &Query<'_>) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {}", query.text);
    let mut statement = connection.prepare_cached(&text).unwrap();
    let detail = |row: &rusqlite::Row<'_>| row.get("detail");
    // The parameters' values don't change the plan.
    (1..=statement.parameter_count()).for_each(|n| statement.raw_bind_parameter(n, 1).unwrap());
    let mut rows = statement.raw_query();
    let mut details = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        details.push(detail(row).unwrap());
    }
    details
}

fn check(query: &Query<'_>, details: &[String]) {
    let text = &query.text;
    if details.is_empty() {
        // A whole table is dropped at once, without a plan.
        assert!(text.starts_with("DELETE") && !text.contains(" WHERE "), "{text}");
        return;
    }
    let [detail] = details else { panic!("{text}: {details:?}") };
    assert!(!detail.contains("TEMP B-TREE"), "{text}: {detail}");
    let Some((_, conditions)) = text.split_once(" WHERE ") else {
        // Everything, in order: along the index, or the table that is the key's order itself.
        assert!(detail.starts_with("SCAN"), "{text}: {detail}");
        return;
    };
    let conditions = conditions.split(" ORDER BY ").next().unwrap().split(" LIMIT ").next().unwrap();
    let wanted = conditions.split(" AND ").count();
    let used = detail.rsplit_once('(').map_or(0, |(_, used)| used.split(" AND ").count());
    assert!(detail.starts_with("SEARCH") && used == wanted, "{text}: {detail}");
}

#[test]
fn every_shape_of_scan_is_answered_from_one_index() {
    let connection = Connection::open_in_memory().unwrap();
    connection.set_prepared_statement_cache_capacity(4);
    let mut checked = 0;
    for keyspace in schema::all().chain(KEYSPACES.iter().copied()) {
        connection.execute_batch(&ddl::create_table(DIALECT, keyspace)).unwrap();
        keyspace.indexes.iter().for_each(|index| {
            connection.execute_batch(&ddl::create_index(DIALECT, keyspace, index)).unwrap();
        });
        let mut seen = std::collections::HashSet::new();
        for index in std::iter::once(None).chain(keyspace.indexes.iter().map(Some)) {
            for scan in scans(keyspace, index) {
                for piece in pieces(&scan) {
                    let selection = piece.select(DIALECT, &scan);
                    assert!(
                        piece.parameters().eq(selection.parameters.iter().copied()),
                        "{}",
                        selection.text
                    );
                    for query in [piece.select(DIALECT, &scan), piece.delete(DIALECT, &scan)] {
                        if seen.insert(query.text.clone()) {
                            check(&query, &plan(&connection, &query));
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 1000, "only {checked} statements were checked");
}

#[test]
fn most_scans_are_one_piece() {
    use myelin_model::{Pos, RoomNid};
    use myelin_store::conformance::Note;
    let room = Scan::prefix::<Note>((RoomNid(1),), 10);
    for scan in [
        room.clone(),
        room.clone().after((Pos::new(4),)),
        room.clone().up_to((Pos::new(9),)).backward(),
        room.after((Pos::new(4),)).before((Pos::new(9),)),
    ] {
        assert_eq!(pieces(&scan).len(), 1, "{scan:?}");
    }
}
