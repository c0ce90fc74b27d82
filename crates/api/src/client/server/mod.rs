//! What the server tells about itself.

pub(crate) mod capabilities;
pub(crate) mod retention;
pub(crate) mod support;
pub(crate) mod versions;
pub(crate) mod well_known;
