//! Profiles.

mod error;
pub(crate) mod field;
pub(crate) mod whole;
