//! What users tell of themselves in a room: how far they have read, and that they are typing.

mod error;
pub(crate) mod read_markers;
pub(crate) mod receipt;
pub(crate) mod typing;
