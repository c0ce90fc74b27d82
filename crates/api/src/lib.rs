//! The Matrix APIs over HTTP.
//!
//! [`routes::table`] is the table of contents: every route with its access rule and its rate class. Each endpoint is
//! one file under `client/`: the route's spec link, the handler, its errors and tests. Handlers decide nothing that
//! the protocol decides; they parse, call one service and write the answer. The mapping of errors to Matrix errcodes
//! lives in this crate and nowhere else. Administration is under `admin/`; OAuth 2.0 for programs is under `oauth/`, in a table of its own.

mod access;
pub mod admin;
mod answer;
mod args;
mod authenticate;
mod body;
mod client;
mod error;
mod guarded;
mod oauth;
mod object;
mod people;
mod route;
pub mod routes;
mod state;
mod synapse;
mod uia;

pub use access::ClientAddress;
pub use client::server::support::{Contact, Support};
pub use error::Error;
pub use guarded::Times;
pub use people::{People, Shown, StagePage, StageProblem, accept_language};
pub use route::{Access, Route};
pub use routes::{for_browsers, router};
pub use state::{ApiState, Authenticate, Limits, Oauth, RateClass, ServerName};
