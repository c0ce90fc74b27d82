//! OAuth 2.0 as Matrix uses it (client-server API, "OAuth 2.0 API"): the protocol's decisions, without IO.
//!
//! [`client`] reads what a client registers, [`authorization`] what it asks for in the browser, [`scope`] what that
//! means, [`redirect`] where the answer may go. [`code`], [`refresh`] and [`device`] are the three grants as functions
//! of a record, what somebody shows, and the time, and [`token`] is how they are shown; [`metadata`] is what the server says of itself.
//! [`identity`] tells clients who somebody is; [`upstream`] is the other side: signing in with a provider of OpenID Connect.
//!
//! **Invariants.** No IO, no clock, no randomness, no panic on any input; what is parsed is bounded, and a type that
//! exists is right. Times are milliseconds since the Unix epoch.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

pub mod authorization;
pub mod client;
pub mod code;
pub mod device;
pub mod error;
pub mod factor;
pub mod identity;
pub mod legacy;
pub mod metadata;
pub mod params;
pub mod pkce;
pub mod redirect;
pub mod refresh;
pub mod rendezvous;
pub mod scope;
pub mod token;
pub mod upstream;

/// The grant type of an authorization code (RFC 6749, section 4.1.3).
pub const AUTHORIZATION_CODE: &str = "authorization_code";
/// The grant type of a refresh token (RFC 6749, section 6).
pub const REFRESH_TOKEN: &str = "refresh_token";
/// The grant type of a device code (RFC 8628, section 3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
