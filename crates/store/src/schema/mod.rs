//! Every keyspace of the store, by owner.
//!
//! A service is the only writer of the keyspaces in the module that bears its name; anyone may read them.

pub mod auth;
pub mod delayed;
pub mod e2ee;
pub mod erasure;
pub mod factors;
pub mod media;
pub mod moderation;
pub mod node;
pub mod notify;
pub mod oauth;
pub mod rooms;
pub mod search;
pub mod sticky;
pub mod sync;
pub mod upstream;
pub mod users;

use crate::{Keyspace, KeyspaceDef};

/// The version of the layout. Raised with every change that an older release could not live with; a change that
/// only adds keyspaces or nullable columns leaves it alone.
pub const VERSION: i64 = 1;

/// Every keyspace, for engines that make tables of them.
pub const ALL: &[&[&KeyspaceDef]] = &[
    auth::ALL,
    delayed::ALL,
    e2ee::ALL,
    erasure::ALL,
    factors::ALL,
    media::ALL,
    moderation::ALL,
    node::ALL,
    notify::ALL,
    oauth::ALL,
    rooms::ALL,
    search::ALL,
    sticky::ALL,
    sync::ALL,
    upstream::ALL,
    users::ALL,
];

/// Every keyspace in one list.
pub fn all() -> impl Iterator<Item = &'static KeyspaceDef> {
    ALL.iter().flat_map(|part| part.iter().copied())
}

/// Shorthand for the lists of the modules below.
const fn def<K: Keyspace>() -> &'static KeyspaceDef {
    K::DEF
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_fit_a_table() {
        let mut seen = HashSet::new();
        for keyspace in super::all() {
            assert!(seen.insert(keyspace.name), "{} is declared twice", keyspace.name);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(keyspace.name.chars().all(plain), "{} is no table name", keyspace.name);
            assert!(keyspace.key_len > 0);
            assert!(keyspace.columns[..keyspace.key_len].iter().all(|c| !c.nullable), "{}", keyspace.name);
            for index in keyspace.indexes {
                assert!(index.name.chars().all(plain), "{}: {}", keyspace.name, index.name);
            }
        }
    }
}
