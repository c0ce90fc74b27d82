//! OAuth 2.0 for programs (client-server API, "OAuth 2.0 API"): what browsers show is in `myelin-web`.
//!
//! These endpoints speak the dialect of the RFCs: forms, and errors with `error` in place of `errcode`.

pub(crate) mod auth_metadata;
pub(crate) mod device;
mod error;
mod form;
pub(crate) mod identity;
pub(crate) mod introspect;
pub(crate) mod registration;
pub(crate) mod revoke;
pub(crate) mod token;
pub(crate) mod upstream_logout;

pub(crate) use error::Failure;
