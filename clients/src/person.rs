//! A person at a browser: Chromium on the server's own pages, driven by `js/driver.js`, which the tests in JavaScript share.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::wait::in_time;

/// Somebody, in whose browser nobody is signed in at first.
pub struct Person {
    driver: Child,
    says: ChildStdin,
    hears: Lines<BufReader<ChildStdout>>,
}

/// What somebody makes an account with, or signs in with.
pub struct Account<'a> {
    /// The user name.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Value),
    Failed(String),
}

impl Person {
    /// Sits down at a browser.
    ///
    /// # Errors
    /// When the driver can't be started.
    pub fn arrive() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
        let mut driver = Command::new(node(&folder)?)
            .arg("driver.js")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the browser's driver")?;
        let says = driver.stdin.take().context("no way to say anything")?;
        let hears = BufReader::new(driver.stdout.take().context("no way to hear anything")?).lines();
        Ok(Self { driver, says, hears })
    }

    /// The person's part of a login by authorization code, whose address this is: makes the account where there is none, and
    /// lets the client in. Gives the address that the browser is sent to.
    ///
    /// # Errors
    /// When the pages show something else.
    pub async fn log_in(&mut self, url: &Url, create: Option<Account<'_>>) -> anyhow::Result<Url> {
        let create = create.map(|account| json!({ "name": account.name, "password": account.password }));
        let sent = self.does(json!({ "does": "log_in", "url": url, "create": create })).await?;
        Ok(Url::parse(sent.as_str().context("no address")?)?)
    }

    /// Lets a device in that shows this address, which has its code in it.
    ///
    /// # Errors
    /// The same.
    pub async fn connect(&mut self, url: &Url) -> anyhow::Result<()> {
        self.does(json!({ "does": "connect", "url": url })).await.map(drop)
    }

    /// Says at this address that the digital identity may be replaced.
    ///
    /// # Errors
    /// The same.
    pub async fn allow_reset(&mut self, url: &Url) -> anyhow::Result<()> {
        self.does(json!({ "does": "allow_reset", "url": url })).await.map(drop)
    }

    /// Goes.
    ///
    /// # Errors
    /// When a page has complained of something meanwhile.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.does(json!({ "does": "leave" })).await?;
        in_time("the browser's driver ends", self.driver.wait()).await.map(drop)
    }

    async fn does(&mut self, request: Value) -> anyhow::Result<Value> {
        let what = request["does"].to_string();
        self.says.write_all(format!("{request}\n").as_bytes()).await?;
        let line = in_time(&what, self.hears.next_line()).await?.context("the browser's driver has ended")?;
        match serde_json::from_str(&line)? {
            Answer::Done(value) => Ok(value),
            Answer::Failed(why) => bail!("{what}: {why}"),
        }
    }
}

/// The Node.js among the packages of the tests in JavaScript, or the machine's.
fn node(folder: &Path) -> anyhow::Result<PathBuf> {
    let packages = folder.join("node_modules");
    if !packages.join("playwright-core").is_dir() {
        bail!("the packages are missing: `npm ci` in {}; `cargo xtask test` does it", folder.display());
    }
    let own = packages.join(".bin").join("node");
    Ok(if own.exists() { own } else { PathBuf::from("node") })
}
