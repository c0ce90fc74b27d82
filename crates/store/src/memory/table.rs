//! One keyspace: its rows in the order of the key and of each index, with the versions that snapshots need.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::{Datum, Direction, KeyspaceDef, Row, Scan};

/// The number of a commit.
pub(super) type Version = u64;

/// What stood at one place, oldest first: since which version, and which row (`None`: nothing).
type History = Vec<(Version, Option<Arc<[Datum]>>)>;

/// After every other value in the order of [`Datum`]; it never stands in a stored row.
const LAST: Datum = Datum::Pending(u32::MAX);

#[derive(Clone)]
pub(super) struct Table {
    keyspace: &'static KeyspaceDef,
    /// The key's order first, then one for each index.
    orders: Vec<Order>,
    /// Places with history that can be dropped once no snapshot is older than the version.
    stale: VecDeque<(Version, usize, Vec<Datum>)>,
}

#[derive(Clone)]
struct Order {
    columns: Vec<usize>,
    rows: BTreeMap<Vec<Datum>, History>,
}

impl Table {
    pub(super) fn new(keyspace: &'static KeyspaceDef) -> Self {
        let index = std::iter::once(None).chain(keyspace.indexes.iter().map(Some));
        let columns = index.map(|index| keyspace.order(index));
        let orders = columns.map(|columns| Order { columns, rows: BTreeMap::new() }).collect();
        Self { keyspace, orders, stale: VecDeque::new() }
    }

    /// The row with this key as it was at the version.
    pub(super) fn get(&self, key: &[Datum], at: Version) -> Option<&[Datum]> {
        visible(self.orders.first()?.rows.get(key)?, at).map(|row| &**row)
    }

    /// The scan's rows as they were at the version.
    pub(super) fn scan(&self, scan: &Scan, at: Version) -> Vec<Row> {
        let by_name =
            |index: &crate::IndexDef| self.keyspace.indexes.iter().position(|i| i.name == index.name);
        let number = match scan.index {
            None => Some(0),
            Some(index) => by_name(index).map(|n| n + 1),
        };
        let Some(order) = number.and_then(|n| self.orders.get(n)) else { return Vec::new() };
        let (lower, upper) = range(scan);
        let reversed = match (&lower, &upper) {
            (Bound::Included(lower), Bound::Excluded(upper)) => lower >= upper,
            _ => false,
        };
        if reversed {
            return Vec::new();
        }
        let rows = order.rows.range((lower, upper));
        let found = |(_, history): (_, &History)| visible(history, at).map(|row| Row::from(&**row));
        match scan.direction {
            Direction::Forward => rows.filter_map(found).take(scan.limit).collect(),
            Direction::Backward => rows.rev().filter_map(found).take(scan.limit).collect(),
        }
    }

    pub(super) fn put(&mut self, row: Row, version: Version) {
        let new: Arc<[Datum]> = row.into();
        let old = self.newest(self.keyspace.key_of(&new));
        for number in 0..self.orders.len() {
            let place = self.place(number, &new);
            if let Some(old) = &old {
                let left = self.place(number, old);
                if left != place {
                    self.set(number, left, None, version);
                }
            }
            self.set(number, place, Some(Arc::clone(&new)), version);
        }
    }

    pub(super) fn delete(&mut self, key: &[Datum], version: Version) {
        let Some(old) = self.newest(key) else { return };
        for number in 0..self.orders.len() {
            let place = self.place(number, &old);
            self.set(number, place, None, version);
        }
    }

    /// Takes back what a refused batch did.
    pub(super) fn undo(&mut self, version: Version) {
        while self.stale.back().is_some_and(|(since, ..)| *since == version) {
            let Some((_, number, place)) = self.stale.pop_back() else { return };
            let Some(order) = self.orders.get_mut(number) else { return };
            let Some(history) = order.rows.get_mut(&place) else { continue };
            history.retain(|(since, _)| *since != version);
            if history.is_empty() {
                order.rows.remove(&place);
            }
        }
    }

    /// Forgets what nobody at `oldest` or later can see.
    pub(super) fn prune(&mut self, oldest: Version) {
        while self.stale.front().is_some_and(|(since, ..)| *since <= oldest) {
            let Some((_, number, place)) = self.stale.pop_front() else { return };
            let Some(order) = self.orders.get_mut(number) else { return };
            let Some(history) = order.rows.get_mut(&place) else { continue };
            let seen = history.iter().rposition(|(since, _)| *since <= oldest).unwrap_or(0);
            history.drain(..seen);
            if let [(_, None)] = history.as_slice() {
                order.rows.remove(&place);
            }
        }
    }

    fn newest(&self, key: &[Datum]) -> Option<Arc<[Datum]>> {
        visible(self.orders.first()?.rows.get(key)?, Version::MAX).cloned()
    }

    fn place(&self, number: usize, row: &[Datum]) -> Vec<Datum> {
        let columns = self.orders.get(number).map(|order| order.columns.as_slice()).unwrap_or_default();
        columns.iter().filter_map(|column| row.get(*column).cloned()).collect()
    }

    fn set(&mut self, number: usize, place: Vec<Datum>, row: Option<Arc<[Datum]>>, version: Version) {
        let Some(order) = self.orders.get_mut(number) else { return };
        let history = order.rows.entry(place.clone()).or_default();
        match history.last_mut() {
            Some((since, held)) if *since == version => *held = row,
            _ => {
                history.push((version, row));
                self.stale.push_back((version, number, place));
            }
        }
    }
}

fn visible(history: &History, at: Version) -> Option<&Arc<[Datum]>> {
    history.iter().rev().find(|(since, _)| *since <= at)?.1.as_ref()
}

/// The scan as a range of whole places.
fn range(scan: &Scan) -> (Bound<Vec<Datum>>, Bound<Vec<Datum>>) {
    let place = |columns: &[Datum], end: &[Datum]| [scan.prefix.as_slice(), columns, end].concat();
    let lower = match &scan.lower {
        Bound::Unbounded => place(&[], &[]),
        Bound::Included(columns) => place(columns, &[]),
        Bound::Excluded(columns) => place(columns, &[LAST]),
    };
    let upper = match &scan.upper {
        Bound::Unbounded => place(&[], &[LAST]),
        Bound::Included(columns) => place(columns, &[LAST]),
        Bound::Excluded(columns) => place(columns, &[]),
    };
    (Bound::Included(lower), Bound::Excluded(upper))
}
