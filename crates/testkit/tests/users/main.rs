//! Accounts and what belongs to them, over HTTP, besides logging in by OAuth 2.0 (`oauth`).

mod administration;
mod device_settings;
mod directory;
mod email;
mod kept;
mod login_tokens;
mod presence;
mod profile_updates;
mod reports;
mod suspension;
