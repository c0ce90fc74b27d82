//! What the server tells about itself.

pub(crate) mod capabilities;
pub(crate) mod versions;
