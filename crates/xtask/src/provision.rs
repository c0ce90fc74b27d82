//! What steps need from the machine. A need that can be met is met; one that can't ends the step with a clear line.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::repo;

/// Something that must be on the machine.
#[derive(Debug)]
pub(crate) struct Need {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// A command that succeeds where it is there.
    pub(crate) probe: &'static [&'static str],
    /// How to get it.
    pub(crate) from: Origin,
}

/// Where something comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// These Debian packages, installed where we are root.
    Debian(&'static [&'static str]),
    /// This command at the root of the repository, which needs no root of the machine.
    Command(&'static [&'static str]),
}

/// The bundled SQLite and the cryptography are partly C.
pub(crate) const C_COMPILER: Need =
    Need { name: "a C compiler", probe: &["cc", "--version"], from: Origin::Debian(&["gcc", "libc6-dev"]) };

/// The power-cut tests record the writes of a process with it.
pub(crate) const STRACE: Need =
    Need { name: "strace", probe: &["strace", "--version"], from: Origin::Debian(&["strace"]) };

/// The tests of a full disk and of a read-only folder mount what they need in namespaces of their own.
pub(crate) const NAMESPACES: Need = Need {
    name: "unshare and mount",
    probe: &["sh", "-c", "unshare --version && mount --version"],
    from: Origin::Debian(&["util-linux", "mount"]),
};

/// Tests with JavaScript clients get their packages with it, the Node.js that runs them among these.
pub(crate) const NPM: Need =
    Need { name: "npm", probe: &["npm", "--version"], from: Origin::Debian(&["npm"]) };

/// The packages of the JavaScript clients as the lock file has them.
pub(crate) const NPM_PACKAGES: Need = Need {
    name: "the packages of clients/js",
    probe: &["npm", "ls", "--prefix", "clients/js"],
    from: Origin::Command(&[
        "npm",
        "ci",
        "--prefix",
        "clients/js",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]),
};

/// A browser with an authenticator in the test's hands.
pub(crate) const CHROMIUM: Need =
    Need { name: "Chromium", probe: &["chromium", "--version"], from: Origin::Debian(&["chromium"]) };

/// The directory that people log in with in a test.
pub(crate) const SLAPD: Need = Need {
    name: "slapd",
    probe: &["sh", "-c", "command -v slapd || test -x /usr/sbin/slapd"],
    from: Origin::Debian(&["slapd"]),
};

/// A desktop client, and a desktop without a person.
pub(crate) const NHEKO: Need = Need {
    name: "nheko with a virtual screen",
    probe: &[
        "sh",
        "-c",
        "for it in nheko Xvfb xdotool dbus-daemon dbus-send; do command -v $it || exit 1; done",
    ],
    from: Origin::Debian(&["nheko", "xvfb", "xdotool", "dbus"]),
};

/// The formatter of the pinned toolchain.
pub(crate) const RUSTFMT: Need = Need {
    name: "rustfmt",
    probe: &["cargo", "fmt", "--version"],
    from: Origin::Command(&["rustup", "component", "add", "rustfmt"]),
};

/// The linter of the pinned toolchain.
pub(crate) const CLIPPY: Need = Need {
    name: "clippy",
    probe: &["cargo", "clippy", "--version"],
    from: Origin::Command(&["rustup", "component", "add", "clippy"]),
};

impl Need {
    /// Makes sure it is there, installing it where it isn't.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.is_met() {
            return Ok(());
        }
        println!("   {} is missing", self.name);
        match self.from {
            Origin::Debian(packages) => install_packages(self.name, packages)?,
            Origin::Command(command) => run(command).with_context(|| format!("cannot get {}", self.name))?,
        }
        if !self.is_met() {
            bail!("{} was installed, yet `{}` still fails", self.name, self.probe.join(" "));
        }
        Ok(())
    }

    fn is_met(&self) -> bool {
        let Some((program, arguments)) = self.probe.split_first() else { return true };
        let mut probe = Command::new(program);
        probe.args(arguments).current_dir(repo::root()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

fn install_packages(name: &str, packages: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !is_root() {
        bail!("{name} is needed and only root can install it: `{by_hand}`");
    }
    let advice = || format!("cannot install {name}; try `{by_hand}`");
    run(&["apt-get", "update", "-qq"]).with_context(advice)?;
    let install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    run(&[&install, packages].concat()).with_context(advice)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &[&str]) -> Result<()> {
    println!("   {}", command.join(" "));
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(repo::root())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("`{}` failed ({status})", command.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed() {
        let need = Need { name: "true", probe: &["true"], from: Origin::Command(&["false"]) };
        need.ensure().unwrap();
    }

    #[test]
    fn a_failing_installation_says_what_was_wanted() {
        let need = Need { name: "the moon", probe: &["false"], from: Origin::Command(&["false"]) };
        assert!(format!("{:#}", need.ensure().unwrap_err()).contains("cannot get the moon"));
    }

    #[test]
    fn an_installation_that_changes_nothing_is_an_error() {
        let need = Need { name: "the moon", probe: &["false"], from: Origin::Command(&["true"]) };
        assert!(need.ensure().unwrap_err().to_string().contains("still fails"));
    }
}
