//! Counts the times a server waits for the disk, with strace around it. It is a pass of its own: tracing costs time.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The calls that return when data is on the disk.
const CALLS: &[&str] = &["fsync", "fdatasync", "sync_file_range", "msync"];

/// A tracer and the file it writes to.
pub(crate) struct Trace {
    file: PathBuf,
}

/// Waits for the disk since a server began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waits {
    pub(crate) number: u64,
    /// Their time in all, in milliseconds.
    pub(crate) milliseconds: f64,
}

impl Trace {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("strace.log") }
    }

    /// The command with the tracer around it. Only the named calls stop the server, the others run freely.
    pub(crate) fn around(&self, command: &Command) -> Command {
        let mut traced = Command::new("strace");
        traced.args(["-f", "--seccomp-bpf", "-T", "-e", "signal=none", "-e"]);
        traced.arg(format!("trace={}", CALLS.join(","))).arg("-o").arg(&self.file);
        traced.arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            traced.current_dir(folder);
        }
        traced
    }

    /// What was traced so far.
    pub(crate) fn waits(&self) -> Waits {
        read(&fs::read_to_string(&self.file).unwrap_or_default())
    }
}

/// A call is one line that ends with its time, `<0.001234>`, or two where another thread was heard in between; the
/// first of these ends with `<unfinished ...>`.
fn read(text: &str) -> Waits {
    let mut waits = Waits::default();
    for line in text.lines() {
        let time = line.rsplit_once('<').and_then(|(_, time)| time.strip_suffix('>'));
        if let Some(seconds) = time.and_then(|time| time.parse::<f64>().ok()) {
            waits.number += 1;
            waits.milliseconds += seconds * 1000.0;
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_in_two_lines_counts_once() {
        let text = "12 fdatasync(7) = 0 <0.001000>\n12 fsync(9 <unfinished ...>\n13 fsync(8) = 0 <0.002000>\n\
            12 <... fsync resumed>) = 0 <0.003000>\n12 +++ exited with 0 +++\n";
        assert_eq!(read(text), Waits { number: 3, milliseconds: 6.0 });
    }
}
