//! Signing in with somebody else's account: this server as a client of OpenID Connect providers that its operator chose.
//!
//! [`attempt`] is one sign-in between leaving for the provider and coming back, [`provider`] what a provider says of itself,
//! [`claims`] what it says of a person, [`mapping`] what becomes of that here, and [`logout`] how it ends what it began
//! (OpenID Connect Core 1.0, Discovery 1.0, Back-Channel Logout 1.0).

pub mod attempt;
pub mod claims;
pub mod logout;
pub mod mapping;
pub mod provider;
