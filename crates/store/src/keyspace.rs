//! The declaration of keyspaces.

use crate::{ColumnType, Datum, Field, Row, RowError};

/// One column of a keyspace.
#[derive(Debug)]
pub struct Column {
    /// Its name in the struct, in logs and in the table.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be null. Columns added after a release must be.
    pub nullable: bool,
}

/// A secondary index: rows of the keyspace in another order. The engine keeps it; rows are never unique in it
/// (uniqueness is a key, or an expectation of the batch).
#[derive(Debug)]
pub struct IndexDef {
    /// Its name, unique within the keyspace.
    pub name: &'static str,
    /// The columns it sorts by (numbers into [`KeyspaceDef::columns`]); ties are broken by the key.
    pub columns: &'static [usize],
}

/// What an engine knows of a keyspace.
#[derive(Debug)]
pub struct KeyspaceDef {
    /// The table's name: lower-case snake case, unique in the store.
    pub name: &'static str,
    /// All columns; the key's come first.
    pub columns: &'static [Column],
    /// How many of the columns form the primary key.
    pub key_len: usize,
    /// The secondary indexes.
    pub indexes: &'static [IndexDef],
}

impl KeyspaceDef {
    /// The number of the named column. Evaluated at compile time by [`crate::keyspace!`].
    ///
    /// # Panics
    /// When there is no such column, which makes the declaration fail to compile.
    #[must_use]
    pub const fn column_number(columns: &[Column], name: &str) -> usize {
        let mut i = 0;
        while i < columns.len() {
            if same_text(columns[i].name, name) {
                return i;
            }
            i += 1;
        }
        panic!("an index or counter names a column that the keyspace does not have")
    }

    /// The columns that rows are ordered by in the index, or without one in the key: the index's columns, then the
    /// key's that it lacks.
    #[must_use]
    pub fn order(&self, index: Option<&IndexDef>) -> Vec<usize> {
        let first = index.map(|index| index.columns).unwrap_or_default();
        let rest = (0..self.key_len).filter(|n| !first.contains(n));
        first.iter().copied().chain(rest).collect()
    }

    /// The key columns of a whole row.
    #[must_use]
    pub fn key_of<'r>(&self, row: &'r [Datum]) -> &'r [Datum] {
        &row[..self.key_len]
    }
}

const fn same_text(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A declared keyspace: a row struct that knows its table. Made by [`crate::keyspace!`].
pub trait Keyspace: Sized + Send + 'static {
    /// The declaration.
    const DEF: &'static KeyspaceDef;
    /// The primary key as a tuple of the key columns.
    type Key: KeyTuple;

    /// The row in its stored form.
    fn to_row(&self) -> Row;

    /// Reads the stored form back.
    ///
    /// # Errors
    /// When a column does not hold what the declaration says.
    fn from_row(row: Row) -> Result<Self, RowError>;
}

/// A tuple of fields: a key, or the leading columns of one.
pub trait KeyTuple {
    /// The stored form of the fields, in order.
    fn to_datums(&self) -> Vec<Datum>;
}

macro_rules! key_tuple {
    ($($name:ident $n:tt),*) => {
        impl<$($name: Field),*> KeyTuple for ($($name,)*) {
            fn to_datums(&self) -> Vec<Datum> {
                vec![$(self.$n.to_datum()),*]
            }
        }
    };
}
key_tuple!();
key_tuple!(A 0);
key_tuple!(A 0, B 1);
key_tuple!(A 0, B 1, C 2);
key_tuple!(A 0, B 1, C 2, D 3);
key_tuple!(A 0, B 1, C 2, D 3, E 4);
key_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);

/// Declares a keyspace: the row's struct, its table, key and indexes.
///
/// ```
/// myelin_store::keyspace! {
///     /// A user's display name and picture.
///     pub struct Profile in "profile" {
///         key { user_id: String }
///         value { display_name: Option<String>, avatar_url: Option<String>, changed: myelin_model::Pos }
///         index { BY_CHANGE = "by_change" (changed) }
///     }
/// }
/// ```
#[macro_export]
macro_rules! keyspace {
    ($(#[$doc:meta])* pub struct $name:ident in $table:literal {
        key { $($(#[$kdoc:meta])* $key:ident : $kty:ty),+ $(,)? }
        value { $($(#[$vdoc:meta])* $val:ident : $vty:ty),* $(,)? }
        index { $($iname:ident = $itext:literal ($($icol:ident),+)),* $(,)? }
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "columns whose name says it all need no sentence")]
        pub struct $name { $($(#[$kdoc])* pub $key: $kty,)+ $($(#[$vdoc])* pub $val: $vty,)* }

        #[allow(non_upper_case_globals, dead_code, unused_assignments, reason = "numbers made by counting")]
        impl $name {
            const COLUMNS: &'static [$crate::Column] = &[
                $($crate::Column { name: stringify!($key), kind: <$kty as $crate::Field>::TYPE,
                    nullable: <$kty as $crate::Field>::NULLABLE },)+
                $($crate::Column { name: stringify!($val), kind: <$vty as $crate::Field>::TYPE,
                    nullable: <$vty as $crate::Field>::NULLABLE },)*
            ];
            $(#[doc = concat!("The index `", $itext, "`.")]
            pub const $iname: &'static $crate::IndexDef = &$crate::IndexDef { name: $itext, columns: &[
                $($crate::KeyspaceDef::column_number(Self::COLUMNS, stringify!($icol))),+] };)*
        }

        impl $crate::Keyspace for $name {
            const DEF: &'static $crate::KeyspaceDef = &$crate::KeyspaceDef {
                name: $table,
                columns: Self::COLUMNS,
                key_len: [$(stringify!($key)),+].len(),
                indexes: &[$($crate::IndexDef { name: $itext, columns: &[
                    $($crate::KeyspaceDef::column_number(Self::COLUMNS, stringify!($icol))),+] }),*],
            };
            type Key = ($($kty,)+);

            fn to_row(&self) -> $crate::Row {
                Box::new([$($crate::Field::to_datum(&self.$key),)+ $($crate::Field::to_datum(&self.$val),)*])
            }

            fn from_row(row: $crate::Row) -> Result<Self, $crate::RowError> {
                let mut columns = row.into_vec().into_iter();
                Ok(Self {
                    $($key: $crate::decode(columns.next(), $table, stringify!($key))?,)+
                    $($val: $crate::decode(columns.next(), $table, stringify!($val))?,)*
                })
            }
        }
    };
}
