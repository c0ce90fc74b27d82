//! Endpoints that tools written for Synapse call, as far as this server has what they are for.

pub(crate) mod register;
pub(crate) mod server_notice;
