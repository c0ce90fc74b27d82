//! Rooms, as clients see them over HTTP.

mod delayed;
mod invite_permission;
mod listing;
mod making;
mod moderation;
mod preview;
mod purge;
mod redact_on_ban;
mod relation_filters;
mod relations;
mod retention;
mod search;
mod sticky;
mod third_party_invites;
mod upgrade;
