//! Ends a program of tests that hangs: under a clock that tests move, whoever waits for something that never comes can spin
//! for ever, and everything after it would wait, too.

use std::io::Write;
use std::sync::{Once, mpsc};
use std::time::Duration;

/// Many times what the longest program takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Ends this program when it has run for too long after the first call.
pub(crate) fn end_what_hangs() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            let (never, waits) = mpsc::channel::<()>();
            if waits.recv_timeout(LONGEST).is_err() {
                let minutes = LONGEST.as_secs() / 60;
                let text = format!(
                    "error: tests hang: {minutes} minutes are over; libtest named those that run long\n"
                );
                // Not by `eprintln`, which libtest would keep for a test that never ends.
                let _unheard = std::io::stderr().write_all(text.as_bytes());
                std::process::exit(101);
            }
            drop(never);
        });
    });
}
