//! The content repository.

mod admitted;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod download;
pub(crate) mod download_as;
mod error;
pub(crate) mod preview_url;
mod range;
mod serve;
pub(crate) mod thumbnail;
pub(crate) mod upload;
pub(crate) mod upload_to;

#[cfg(test)]
mod tests;
