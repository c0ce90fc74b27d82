//! Proving to other services who one is.

pub(crate) mod request_token;
pub(crate) mod userinfo;
