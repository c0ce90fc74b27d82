//! Requests to servers that users name.

mod address;
mod push_gateways;
mod resolve;
mod web;

pub(crate) use push_gateways::PushGateways;
pub(crate) use web::Web;
