//! Scans as SQL.
//!
//! A scan's bounds are tuples that may hold nulls, and its columns may be null. No single SQL condition says that so
//! that every database answers it from the index alone. A scan is therefore split into a few *pieces* that follow one
//! another in the scan's order; each fixes some leading columns and bounds one column more, which is what any index
//! answers by a seek. Most scans are one piece.

use std::ops::Bound;

use bytes::Bytes;
use myelin_store::{ColumnType, Datum, KeyspaceDef, Scan};

use crate::ddl::index_name;
use crate::dialect::{Dialect, quote};

/// A contiguous part of a scan.
#[derive(Debug, PartialEq)]
pub(crate) struct Piece {
    /// The values of the leading columns; null means null.
    equal: Vec<Datum>,
    /// The column after them is at least (`true`) or more than (`false`) this.
    lower: Option<(bool, Datum)>,
    /// It is at most (`true`) or less than (`false`) this, and not null.
    upper: Option<(bool, Datum)>,
}

/// A statement and its parameters, in order.
#[derive(Debug)]
pub(crate) struct Query<'p> {
    pub(crate) text: String,
    pub(crate) parameters: Vec<&'p Datum>,
}

/// The scan's pieces, in ascending order. Placeholders must have been resolved.
pub(crate) fn pieces(scan: &Scan) -> Vec<Piece> {
    let mut splitter = Splitter { keyspace: scan.keyspace, order: scan.order(), pieces: Vec::new() };
    splitter.split(scan.prefix.clone(), as_slice(&scan.lower), as_slice(&scan.upper));
    splitter.pieces
}

fn as_slice(bound: &Bound<Vec<Datum>>) -> Bound<&[Datum]> {
    bound.as_ref().map(Vec::as_slice)
}

struct Splitter {
    keyspace: &'static KeyspaceDef,
    order: Vec<usize>,
    pieces: Vec<Piece>,
}

impl Splitter {
    /// Adds the pieces of the rows that begin with `equal` and lie between the bounds on the columns after it.
    fn split(&mut self, equal: Vec<Datum>, lower: Bound<&[Datum]>, upper: Bound<&[Datum]>) {
        if matches!(lower, Bound::Excluded([])) || matches!(upper, Bound::Excluded([])) {
            return;
        }
        match (head(lower), head(upper)) {
            (None, None) => self.pieces.push(Piece { equal, lower: None, upper: None }),
            (Some((l, lower)), Some((u, upper))) if l == u => self.split(with(&equal, l), lower, upper),
            (Some((l, _)), Some((u, _))) if l > u => {}
            (l, u) => self.split_apart(&equal, l, u),
        }
    }

    /// The same where the bounds differ in the first column, `l < u`.
    fn split_apart(&mut self, equal: &[Datum], l: Option<Head<'_>>, u: Option<Head<'_>>) {
        let column = self.order.get(equal.len()).and_then(|n| self.keyspace.columns.get(*n));
        let Some(column) = column else { return };
        // A bound that ends with this column needs no piece of its own: the middle includes its value, or not.
        let mut lower = None;
        let mut inclusive_upper = false;
        match l {
            Some((value, Bound::Included([]) | Bound::Excluded([]))) if *value != Datum::Null => {
                lower = Some((matches!(l, Some((_, Bound::Included(_)))), value.clone()));
            }
            Some((value, rest)) => {
                self.split(with(equal, value), rest, Bound::Unbounded);
                // After null comes the smallest value there is.
                let least = (*value == Datum::Null).then(|| (true, least(column.kind)));
                lower = Some(least.unwrap_or_else(|| (false, value.clone())));
            }
            // From the start, the column may be null: no comparison finds that.
            None if column.nullable => self.null_piece(equal, u),
            None => {}
        }
        if let Some((_, Bound::Included([]))) = u {
            inclusive_upper = true;
        }
        match u {
            // Nothing comes before null.
            Some((Datum::Null, _)) => {}
            Some((value, _)) => self.pieces.push(Piece {
                equal: equal.to_vec(),
                lower,
                upper: Some((inclusive_upper, value.clone())),
            }),
            None => self.pieces.push(Piece { equal: equal.to_vec(), lower, upper: None }),
        }
        if let Some((value, rest)) = u
            && !matches!(rest, Bound::Included([]) if *value != Datum::Null)
        {
            self.split(with(equal, value), Bound::Unbounded, rest);
        }
    }

    fn null_piece(&mut self, equal: &[Datum], u: Option<Head<'_>>) {
        if !matches!(u, Some((Datum::Null, _))) {
            self.split(with(equal, &Datum::Null), Bound::Unbounded, Bound::Unbounded);
        }
    }
}

/// The first value of a bound, and the bound that the rest of it is.
type Head<'b> = (&'b Datum, Bound<&'b [Datum]>);

fn head(bound: Bound<&[Datum]>) -> Option<Head<'_>> {
    match bound {
        Bound::Included([first, rest @ ..]) => Some((first, Bound::Included(rest))),
        Bound::Excluded([first, rest @ ..]) => Some((first, Bound::Excluded(rest))),
        _ => None,
    }
}

fn with(equal: &[Datum], value: &Datum) -> Vec<Datum> {
    let mut longer = Vec::with_capacity(equal.len() + 1);
    longer.extend_from_slice(equal);
    longer.push(value.clone());
    longer
}

/// The smallest value of a type that is not null.
fn least(kind: ColumnType) -> Datum {
    match kind {
        ColumnType::Int => Datum::Int(i64::MIN),
        ColumnType::Text => Datum::Text("".into()),
        ColumnType::Bytes => Datum::Bytes(Bytes::new()),
    }
}

/// What a piece's statement looks like, without its values: pieces of one shape share a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    keyspace: &'static str,
    index: Option<&'static str>,
    direction: myelin_store::Direction,
    /// One bit for each column that is fixed, set where it is null, below a leading one.
    equal: u64,
    /// Whether the bound includes its value, and whether that is null.
    lower: Option<(bool, bool)>,
    upper: Option<(bool, bool)>,
}

impl Piece {
    /// The shape of the piece's selection.
    pub(crate) fn shape(&self, scan: &Scan) -> Shape {
        let is_null = |value: &Datum| *value == Datum::Null;
        let bound =
            |bound: &Option<(bool, Datum)>| bound.as_ref().map(|(included, v)| (*included, is_null(v)));
        Shape {
            keyspace: scan.keyspace.name,
            index: scan.index.map(|index| index.name),
            direction: scan.direction,
            equal: self.equal.iter().fold(1, |bits, value| bits << 1 | u64::from(is_null(value))),
            lower: bound(&self.lower),
            upper: bound(&self.upper),
        }
    }

    /// The values of the piece's statement, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Datum> {
        let bounds = self.lower.iter().chain(&self.upper).map(|(_, value)| value);
        self.equal.iter().chain(bounds).filter(|value| **value != Datum::Null)
    }

    /// Selects all columns of the piece's rows in the scan's order. The last parameter, which the caller adds, is the
    /// largest number of rows.
    pub(crate) fn select<'p>(&'p self, dialect: Dialect, scan: &Scan) -> Query<'p> {
        let columns: Vec<String> = scan.keyspace.columns.iter().map(|column| quote(column.name)).collect();
        let mut query = self.query(dialect, scan, &format!("SELECT {} FROM", columns.join(", ")));
        let down = if scan.direction == myelin_store::Direction::Backward { " DESC" } else { "" };
        let free: Vec<String> =
            names(scan).skip(self.equal.len()).map(|name| format!("{}{down}", quote(name))).collect();
        if !free.is_empty() {
            query.text.push_str(" ORDER BY ");
            query.text.push_str(&free.join(", "));
        }
        query.text.push_str(" LIMIT ");
        query.text.push_str(&dialect.parameter(query.parameters.len() + 1));
        query
    }

    /// Deletes the piece's rows.
    pub(crate) fn delete<'p>(&'p self, dialect: Dialect, scan: &Scan) -> Query<'p> {
        self.query(dialect, scan, "DELETE FROM")
    }

    fn query<'p>(&'p self, dialect: Dialect, scan: &Scan, verb: &str) -> Query<'p> {
        let mut conditions = Vec::new();
        let mut parameters = Vec::new();
        let mut compare = |name: &str, operator: &str, value: &'p Datum| {
            if *value == Datum::Null {
                conditions.push(format!("{} IS NULL", quote(name)));
            } else {
                parameters.push(value);
                conditions.push(format!(
                    "{} {operator} {}",
                    quote(name),
                    dialect.parameter(parameters.len())
                ));
            }
        };
        let mut names = names(scan);
        self.equal.iter().zip(names.by_ref()).for_each(|(value, name)| compare(name, "=", value));
        if let Some(name) = names.next() {
            if let Some((inclusive, value)) = &self.lower {
                compare(name, if *inclusive { ">=" } else { ">" }, value);
            }
            if let Some((inclusive, value)) = &self.upper {
                compare(name, if *inclusive { "<=" } else { "<" }, value);
            }
        }
        let index = scan.index.map(|index| index_name(scan.keyspace, index));
        let hint = dialect.index_hint(index.as_deref());
        let mut text = format!("{verb} {}{hint}", quote(scan.keyspace.name));
        if !conditions.is_empty() {
            text.push_str(" WHERE ");
            text.push_str(&conditions.join(" AND "));
        }
        Query { text, parameters }
    }
}

/// The names of the columns that the scan is ordered by.
fn names(scan: &Scan) -> impl Iterator<Item = &'static str> {
    let keyspace = scan.keyspace;
    scan.order().into_iter().filter_map(|n| keyspace.columns.get(n)).map(|column| column.name)
}

#[cfg(test)]
mod tests;
