//! Thread subscriptions.

pub(crate) mod changes;
mod error;
pub(crate) mod subscription;
