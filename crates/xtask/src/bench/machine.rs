//! The machine that figures were measured on.

use std::{fs, path::Path, process::Command};

use super::process::labelled;

/// How many processors this program may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processor, memory, system and file system, in one line.
pub(crate) fn describe(folder: &Path) -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let memory = labelled("/proc/meminfo", "MemTotal:").unwrap_or(0) as f64 / f64::from(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let file_system = said(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder));
    format!("{} cores ({model}), {memory:.0} GB, Linux {}, {file_system}", cores(), kernel.trim())
}

/// The one-minute load average: how many processes wanted a processor.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Today, in UTC.
pub(crate) fn date() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d"]))
}

/// What a program prints, or `unknown`.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
