//! What the tests with real clients share.

pub mod chat;
pub mod device;
pub mod element_x;
pub mod person;
pub mod server;
pub mod verification;
pub mod wait;

use std::sync::OnceLock;
use std::time::Instant;

/// Prints the SDK's logs as `RUST_LOG` asks for them; without it, nothing.
pub fn logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if let Err(error) = logs.try_init() {
        tracing::debug!(%error, "another test has set up the logs");
    }
}

/// Says which step a test has come to, and after how long.
pub fn step(what: &str) {
    static START: OnceLock<Instant> = OnceLock::new();
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    println!("{seconds:6.1} s  {what}");
    tracing::info!(what, "step");
}
