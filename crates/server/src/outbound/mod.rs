//! Requests to servers that users name.

mod address;
mod resolve;
mod web;

pub(crate) use web::Web;
