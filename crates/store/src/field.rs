//! How Rust types become column values and come back.

use bytes::Bytes;
use myelin_model::{EventNid, Pos, RoomNid};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedMxcUri, OwnedRoomAliasId, OwnedRoomId, OwnedUserId};

use crate::{ColumnType, Datum};

/// A stored row does not have the form its declaration promises: the store is damaged or a migration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("keyspace {keyspace}, column {column}: {problem}")]
pub struct RowError {
    /// The keyspace the row came from.
    pub keyspace: &'static str,
    /// The column that could not be read.
    pub column: &'static str,
    /// What was wrong with it.
    pub problem: String,
}

/// A type that can be a column.
pub trait Field: Sized {
    /// The column's type in the store.
    const TYPE: ColumnType;
    /// Whether the column may hold [`Datum::Null`].
    const NULLABLE: bool = false;

    /// The stored form.
    fn to_datum(&self) -> Datum;

    /// Reads the stored form back; the error says what was found instead.
    ///
    /// # Errors
    /// When the datum has another type or a value this type can't hold.
    fn from_datum(datum: Datum) -> Result<Self, String>;
}

fn unexpected<T>(datum: &Datum, wanted: &str) -> Result<T, String> {
    let found = match datum {
        Datum::Null => "null",
        Datum::Int(_) => "an integer",
        Datum::Text(_) => "text",
        Datum::Bytes(_) => "bytes",
        Datum::Pending(_) => "a pending position",
    };
    Err(format!("expected {wanted}, found {found}"))
}

impl Field for i64 {
    const TYPE: ColumnType = ColumnType::Int;

    fn to_datum(&self) -> Datum {
        Datum::Int(*self)
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Int(value) => Ok(value),
            other => unexpected(&other, "an integer"),
        }
    }
}

impl Field for bool {
    const TYPE: ColumnType = ColumnType::Int;

    fn to_datum(&self) -> Datum {
        Datum::Int(i64::from(*self))
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Int(0) => Ok(false),
            Datum::Int(1) => Ok(true),
            other => unexpected(&other, "0 or 1"),
        }
    }
}

impl Field for Pos {
    const TYPE: ColumnType = ColumnType::Int;

    fn to_datum(&self) -> Datum {
        match self.as_pending() {
            Some(n) => Datum::Pending(n),
            None => Datum::Int(self.get()),
        }
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Int(value) if value >= 0 => Ok(Self::new(value)),
            other => unexpected(&other, "a position"),
        }
    }
}

macro_rules! int_newtype {
    ($($name:ident),*) => {$(
        impl Field for $name {
            const TYPE: ColumnType = ColumnType::Int;

            fn to_datum(&self) -> Datum {
                Datum::Int(self.0)
            }

            fn from_datum(datum: Datum) -> Result<Self, String> {
                i64::from_datum(datum).map(Self)
            }
        }
    )*};
}
int_newtype!(RoomNid, EventNid);

impl Field for String {
    const TYPE: ColumnType = ColumnType::Text;

    fn to_datum(&self) -> Datum {
        Datum::Text(self.as_str().into())
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Text(text) => Ok(text.into()),
            other => unexpected(&other, "text"),
        }
    }
}

impl Field for Bytes {
    const TYPE: ColumnType = ColumnType::Bytes;

    fn to_datum(&self) -> Datum {
        Datum::Bytes(self.clone())
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Bytes(bytes) => Ok(bytes),
            other => unexpected(&other, "bytes"),
        }
    }
}

impl<T: Field> Field for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;

    fn to_datum(&self) -> Datum {
        self.as_ref().map_or(Datum::Null, Field::to_datum)
    }

    fn from_datum(datum: Datum) -> Result<Self, String> {
        match datum {
            Datum::Null => Ok(None),
            other => T::from_datum(other).map(Some),
        }
    }
}

macro_rules! text_id {
    ($($name:ident),*) => {$(
        impl Field for $name {
            const TYPE: ColumnType = ColumnType::Text;

            fn to_datum(&self) -> Datum {
                Datum::Text(self.as_str().into())
            }

            fn from_datum(datum: Datum) -> Result<Self, String> {
                match datum {
                    Datum::Text(text) => {
                        Self::try_from(&*text).map_err(|_| format!("{text:?} is no {}", stringify!($name)))
                    }
                    other => unexpected(&other, "text"),
                }
            }
        }
    )*};
}
text_id!(OwnedUserId, OwnedRoomId, OwnedEventId, OwnedRoomAliasId, OwnedDeviceId, OwnedMxcUri);

/// Makes an enum without data a text column: `text_enum!(Membership { Join = "join", ... })`.
#[macro_export]
macro_rules! text_enum {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// The stored and written form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl $crate::Field for $name {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Text;

            fn to_datum(&self) -> $crate::Datum {
                $crate::Datum::Text(self.as_str().into())
            }

            fn from_datum(datum: $crate::Datum) -> Result<Self, String> {
                match <String as $crate::Field>::from_datum(datum)?.as_str() {
                    $($text => Ok(Self::$variant),)*
                    other => Err(format!("{other:?} is no {}", stringify!($name))),
                }
            }
        }
    };
}
