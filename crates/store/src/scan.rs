//! Ordered reads.

use std::ops::Bound;

use crate::{Datum, IndexDef, KeyTuple, Keyspace, KeyspaceDef};

/// Which way a scan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Forward,
    /// From the largest key down.
    Backward,
}

/// A range of rows in the order of the key or of an index: a fixed prefix, then bounds on the columns after it.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The keyspace read.
    pub keyspace: &'static KeyspaceDef,
    /// The index whose order is used; `None` is the primary key.
    pub index: Option<&'static IndexDef>,
    /// The leading columns' values.
    pub prefix: Vec<Datum>,
    /// Where the columns after the prefix start; a tuple, compared column by column.
    pub lower: Bound<Vec<Datum>>,
    /// Where they end.
    pub upper: Bound<Vec<Datum>>,
    /// Which way.
    pub direction: Direction,
    /// At most so many rows.
    pub limit: usize,
}

#[allow(clippy::needless_pass_by_value, reason = "tuples are written in place: `after((pos,))`")]
impl Scan {
    /// All rows whose key begins with the given columns, in ascending order, at most `limit` of them.
    #[must_use]
    pub fn prefix<K: Keyspace>(prefix: impl KeyTuple, limit: usize) -> Self {
        Self {
            keyspace: K::DEF,
            index: None,
            prefix: prefix.to_datums(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
            direction: Direction::Forward,
            limit,
        }
    }

    /// The same in the order of one of the keyspace's indexes.
    #[must_use]
    pub fn index<K: Keyspace>(index: &'static IndexDef, prefix: impl KeyTuple, limit: usize) -> Self {
        Self { index: Some(index), ..Self::prefix::<K>(prefix, limit) }
    }

    /// Only rows whose columns after the prefix are greater than these.
    #[must_use]
    pub fn after(mut self, columns: impl KeyTuple) -> Self {
        self.lower = Bound::Excluded(columns.to_datums());
        self
    }

    /// Only rows whose columns after the prefix are at least these.
    #[must_use]
    pub fn from(mut self, columns: impl KeyTuple) -> Self {
        self.lower = Bound::Included(columns.to_datums());
        self
    }

    /// Only rows whose columns after the prefix are less than these.
    #[must_use]
    pub fn before(mut self, columns: impl KeyTuple) -> Self {
        self.upper = Bound::Excluded(columns.to_datums());
        self
    }

    /// Only rows whose columns after the prefix are at most these (rows that begin with them included).
    #[must_use]
    pub fn up_to(mut self, columns: impl KeyTuple) -> Self {
        self.upper = Bound::Included(columns.to_datums());
        self
    }

    /// From the largest down.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// The columns the scan is ordered by, as numbers into the keyspace's columns: the index's, then the key's.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        self.keyspace.order(self.index)
    }

    /// The scan with its placeholders replaced by positions of a batch that begins at `first`.
    #[must_use]
    pub fn resolve(self, first: i64) -> Self {
        let all = |datums: Vec<Datum>| datums.into_iter().map(|datum| datum.resolve(first)).collect();
        Self { prefix: all(self.prefix), lower: self.lower.map(all), upper: self.upper.map(all), ..self }
    }

    /// Whether a row's ordering columns lie within the scan. The definition that engines are tested against.
    #[must_use]
    pub fn contains(&self, ordered: &[Datum]) -> bool {
        let Some((head, rest)) = ordered.split_at_checked(self.prefix.len()) else { return false };
        let cut = |bound: &[Datum]| rest[..bound.len().min(rest.len())].cmp(bound);
        head == self.prefix
            && match &self.lower {
                Bound::Unbounded => true,
                Bound::Included(bound) => cut(bound).is_ge(),
                Bound::Excluded(bound) => cut(bound).is_gt(),
            }
            && match &self.upper {
                Bound::Unbounded => true,
                Bound::Included(bound) => cut(bound).is_le(),
                Bound::Excluded(bound) => cut(bound).is_lt(),
            }
    }
}
