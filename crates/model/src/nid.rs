//! Interned ids: small integers that stand for a room id or an event id inside one store.
//!
//! The owner of the named thing takes them from a reserved block before the commit, so they carry no order and
//! never leave the server: on the wire there are only the ids of the spec.

use std::fmt;

macro_rules! nid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

nid!(
    /// The interned id of a room.
    RoomNid
);
nid!(
    /// The interned id of an event.
    EventNid
);
