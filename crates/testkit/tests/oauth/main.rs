//! Logging in through the browser (OAuth 2.0), whole: clients that speak HTTP, and a person who fills in forms.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails there fails the test")]

mod account;
mod bad_input;
mod branding;
mod code_flow;
mod device_flow;
mod factors;
mod fallback;
mod invitations;
mod own_account;
mod pages;
mod rendezvous;
mod sso;
mod terms;
mod upstream;
mod world;
