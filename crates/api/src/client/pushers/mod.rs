//! Pushers.

mod error;
pub(crate) mod list;
pub(crate) mod set;
