//! Ends a program of tests that hangs: under a clock that tests move, whoever waits for something that never comes can spin
//! for ever, and everything after it would wait, too.

use std::io::Write;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

/// After so long without a new server a program hangs: many times what the longest test takes on a slow machine.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Notes that the program goes on. It is ended when that is not said again for too long.
pub(crate) fn goes_on() {
    static WATCH: OnceLock<mpsc::Sender<()>> = OnceLock::new();
    let watch = WATCH.get_or_init(|| {
        let (watch, signs) = mpsc::channel();
        std::thread::spawn(move || {
            while signs.recv_timeout(LONGEST).is_ok() {}
            let minutes = LONGEST.as_secs() / 60;
            let text =
                format!("error: tests hang: {minutes} minutes are over; libtest named those that run long\n");
            // Not by `eprintln`, which libtest would keep for a test that never ends.
            let _unheard = std::io::stderr().write_all(text.as_bytes());
            std::process::exit(101);
        });
        watch
    });
    // Nobody listens only where the program ends already.
    let _unheard = watch.send(());
}
