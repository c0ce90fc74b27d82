//! The index against a slow scan of the rooms.

mod model;
