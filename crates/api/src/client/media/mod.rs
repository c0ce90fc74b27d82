//! The content repository.

pub(crate) mod config;
pub(crate) mod download;
pub(crate) mod download_as;
mod error;
pub(crate) mod frozen;
mod serve;
pub(crate) mod thumbnail;
pub(crate) mod upload;

#[cfg(test)]
mod tests;
