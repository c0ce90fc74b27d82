//! Synapse for comparison: installed from PyPI into a virtual environment and run as a process, on SQLite.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::homeserver::Program;

/// The release that is compared with, from PyPI.
pub(crate) const VERSION: &str = "1.163.2";

/// An installed Synapse.
pub(crate) struct Synapse {
    python: PathBuf,
}

impl Synapse {
    /// Installs it under this folder where it is not there yet.
    pub(crate) fn provide(folder: &Path) -> Result<Self> {
        let environment = folder.join(format!("synapse-{VERSION}"));
        let python = environment.join("bin/python");
        // Written last: an installation that was interrupted is begun again.
        let complete = environment.join("complete");
        if !complete.is_file() {
            println!("   installing matrix-synapse {VERSION} from PyPI into {}", environment.display());
            fs::create_dir_all(folder)?;
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
                .context("cannot make a virtual environment; install python3-venv (Debian)")?;
            let install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:"];
            run(Command::new(&python).args(install).arg(format!("matrix-synapse=={VERSION}")))?;
            fs::write(&complete, "")?;
        }
        Ok(Self { python })
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

impl Program for Synapse {
    fn command(&self, folder: &Path, address: &str) -> Result<Command> {
        let (host, port) = address.rsplit_once(':').context("an address without a port")?;
        let config = folder.join("homeserver.json");
        fs::write(folder.join("log.json"), LOG)?;
        fs::write(&config, configuration(folder, host, port)?)?;
        let mut command = Command::new(&self.python);
        command.args(["-m", "synapse.app.homeserver", "--config-path"]).arg(config).current_dir(folder);
        Ok(command)
    }
}

/// Warnings only: an access log would be written for each request, which Myelin does not do either.
const LOG: &str = r#"{
    "version": 1,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
    "disable_existing_loggers": false
}"#;

/// As its manual says, with what would slow it for reasons that are not compared turned off: rate limits, presence,
/// the cost of passwords. JSON is YAML.
fn configuration(folder: &Path, host: &str, port: &str) -> Result<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let free = serde_json::json!({"per_second": 1_000_000, "burst_count": 1_000_000});
    let port: u16 = port.parse().context("the port")?;
    let listener = serde_json::json!({
        "port": port, "bind_addresses": [host], "type": "http", "tls": false,
        "resources": [{"names": ["client", "federation"]}],
    });
    let mut configuration = serde_json::json!({
        "server_name": "localhost",
        "report_stats": false,
        "pid_file": path("homeserver.pid"),
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": path("homeserver.db")}},
        "media_store_path": path("media"),
        "signing_key_path": path("signing.key"),
        "log_config": path("log.json"),
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "bcrypt_rounds": 4,
        "presence": {"enabled": false},
        "rc_message": free,
        "rc_registration": free,
        "rc_admin_redaction": free,
        "rc_login": {"address": free, "account": free, "failed_attempts": free},
        "rc_joins": {"local": free, "remote": free},
        "rc_joins_per_room": free,
        "rc_invites": {"per_room": free, "per_user": free, "per_issuer": free},
    });
    configuration["rc_room_creation"] = free;
    Ok(serde_json::to_string_pretty(&configuration)?)
}
