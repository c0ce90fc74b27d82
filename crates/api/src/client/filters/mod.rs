//! Saved filters.

mod error;
pub(crate) mod filter;
pub(crate) mod save;
