//! A server as a child process, and what the kernel says about it and the processes it started.

use std::{
    fs,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a server may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(30);
/// Clock ticks a second in /proc, which Linux fixes for user space on all its common architectures (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process that ends with this value.
pub(crate) struct Process {
    child: Child,
}

/// What a process and its descendants used since they began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, user and kernel, of ended children too.
    pub(crate) cpu: Duration,
    /// Bytes handed to storage, in pages that were dirtied (`write_bytes` of /proc/PID/io).
    pub(crate) written: u64,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self { child: command.spawn().with_context(|| format!("cannot run {program}"))? })
    }

    /// An error where it has ended.
    pub(crate) fn must_be_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended with {status}"),
        }
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for pid in self.tree() {
            usage.cpu += cpu_of(pid);
            usage.written += written_by(pid);
        }
        usage
    }

    /// Resident memory in bytes, its descendants' included.
    pub(crate) fn memory(&self) -> u64 {
        self.tree().into_iter().map(resident).sum()
    }

    /// Asks it to end, as an operator would, and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        // A tracer that gets the signal leaves its child behind: the innermost process is the server.
        let server = self.tree().pop().unwrap_or(self.child.id());
        signal("-TERM", server)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                bail!("the server did not end within {PATIENCE:?} of SIGTERM");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The process and its descendants, parents first.
    fn tree(&self) -> Vec<u32> {
        let parents = all_parents();
        let mut tree = vec![self.child.id()];
        let mut next = 0;
        while let Some(parent) = tree.get(next).copied() {
            tree.extend(parents.iter().filter(|(_, its)| *its == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        tree
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            for pid in self.tree().into_iter().rev() {
                // It may have ended in between, which is what is wanted.
                signal("-KILL", pid).ok();
            }
            self.child.wait().ok();
        }
    }
}

fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status().context("cannot run kill")?;
    if !status.success() {
        bail!("kill {name} {pid} failed");
    }
    Ok(())
}

/// Every process with its parent.
fn all_parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, stat(pid)?.first()?.parse().ok()?))).collect()
}

/// The fields of /proc/PID/stat from the parent's id on: the name before it may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().skip(1).map(str::to_owned).collect())
}

fn cpu_of(pid: u32) -> Duration {
    // From the parent's id: utime, stime, cutime and cstime are the 11th to 14th (proc_pid_stat(5)).
    let fields = stat(pid).unwrap_or_default();
    let ticks: u64 = fields.iter().skip(10).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    from_ticks(ticks)
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

fn written_by(pid: u32) -> u64 {
    labelled(&format!("/proc/{pid}/io"), "write_bytes:").unwrap_or(0)
}

fn resident(pid: u32) -> u64 {
    labelled(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or(0) * 1024
}

/// The first number after a label that begins a line of a file.
pub(crate) fn labelled(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processor time of this program.
pub(crate) fn own_cpu() -> Duration {
    cpu_of(std::process::id())
}

/// The processor time that the whole machine spent, on anything, since it began; stolen time included.
pub(crate) fn machine_cpu() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal (proc_stat(5)); guest time is in user time already.
    let busy = fields.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    from_ticks(busy.map(|(_, ticks)| ticks).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_children_use_counts_and_all_of_them_end() {
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & sleep 60 & wait";
        let process = Process::spawn(Command::new("sh").args(["-c", script])).unwrap();
        let start = Instant::now();
        while process.usage().cpu < Duration::from_millis(20) && start.elapsed() < Duration::from_secs(20) {
            thread::yield_now();
        }
        assert!(process.usage().cpu >= Duration::from_millis(20));
        assert!(process.memory() > 100_000);
        let tree = process.tree();
        assert!(tree.len() >= 2, "{tree:?}");
        drop(process);
        let parents = all_parents();
        assert!(parents.iter().all(|(pid, parent)| !tree.contains(pid) || *parent != tree[0]));
    }

    #[test]
    fn a_process_that_ended_is_noticed() {
        let mut process = Process::spawn(&mut Command::new("true")).unwrap();
        process.child.wait().unwrap();
        assert!(process.must_be_running().is_err());
    }

    #[test]
    fn the_machine_spends_at_least_what_this_program_does() {
        assert!(machine_cpu() >= own_cpu());
    }
}
