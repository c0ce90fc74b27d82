//! The service over the memory engine and a real folder.

mod crashes;
mod files;
mod limits;
mod pending;
mod previews;
mod rig;
mod thumbnails;
