//! The release binary as users have it: a process with a folder, which is killed, traced, run out of disk, refused
//! and operated.
//!
//! The tests stand in `tests/` and need the feature `binary`; `cargo xtask test` builds the binary and runs them.

mod client;
mod folder;
mod process;
mod room;
mod session;
pub mod trace;

pub use client::{Answer, Broken, Client};
pub use folder::Fingerprint;
pub use process::{Ended, Myelin, Place, binary, ended_within, run};
pub use room::{Page, events, id, page};
pub use session::{PASSWORD, Session, login};

/// Says something to whoever watches the tests: a seed, a figure.
#[expect(clippy::print_stdout, reason = "the words of a test")]
pub fn note(text: &str) {
    println!("{text}");
}
