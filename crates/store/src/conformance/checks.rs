//! The behaviours, one function each. They panic when the engine lacks one.
#![allow(missing_docs, reason = "the names are the sentences")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "this is test code for other crates")]

mod batches;
mod durable;
mod positions;
mod reads;

pub use batches::*;
pub use durable::*;
pub use positions::*;
pub use reads::*;
