//! Requests to servers that users name, and to the operator's mail server.

mod address;
mod breached;
mod client;
mod identity;
mod ldap;
mod providers;
mod push_gateways;
mod resolve;
mod smtp;
mod web;

pub(crate) use breached::Breached;
pub(crate) use identity::Identity;
pub(crate) use ldap::Ldap;
pub(crate) use providers::Providers;
pub(crate) use push_gateways::PushGateways;
pub(crate) use smtp::{BadSmtp, Smtp};
pub(crate) use web::Web;
