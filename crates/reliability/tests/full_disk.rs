//! The disk is full, twice, and has room again: nothing acknowledged is lost, reads go on, and nobody has to restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use myelin_reliability::{Answer, Client, Myelin, Place, Session, events, id, note};
use serde_json::json;

/// Tells the test, started again in a namespace of its own, where its small disk is.
const DISK: &str = "TEST_SMALL_DISK";
/// The size of the small disk.
const SIZE: &str = "24m";
/// What is left when the disk is made full: the log of the store grows by some pages for each write.
const LEFT: u64 = 200 * 1024;

/// Runs this test again where a small file system is mounted, in namespaces that vanish with it.
fn on_a_small_disk(test: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk)?;
    let mount = format!("mount -t tmpfs -o size={SIZE} tmpfs \"$0\" && exec \"$@\"");
    let user = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &mount];
    let root = ["unshare", "--mount", "sh", "-c", &mount];
    let command = |how: &[&str]| {
        let mut command = Command::new(how[0]);
        command.args(&how[1..]).arg(&disk);
        command
    };
    let works = |how: &[&str]| command(how).arg("true").output().is_ok_and(|output| output.status.success());
    let how: &[&str] = if works(&user) { &user } else { &root };
    ensure!(
        works(how),
        "a small disk needs `unshare` and `mount -t tmpfs`, as root or in a user namespace: not permitted"
    );
    let mut again = command(how);
    again.arg(std::env::current_exe()?).args(["--exact", test, "--nocapture"]).env(DISK, &disk);
    let status = again.status()?;
    ensure!(status.success(), "the test on the small disk failed");
    Ok(())
}

/// A file that takes the room on the disk.
struct Ballast(PathBuf);

impl Ballast {
    /// Takes all room but a little.
    fn lay(disk: &Path) -> Result<Self> {
        let path = disk.join("ballast");
        let mut file = File::create(&path)?;
        let piece = vec![1_u8; 64 * 1024];
        while file.write_all(&piece).is_ok() {}
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(LEFT))?;
        Ok(Self(path))
    }

    fn lift(self) -> Result<()> {
        Ok(std::fs::remove_file(self.0)?)
    }
}

/// What was acknowledged, and what was refused.
#[derive(Default)]
struct Ledger {
    /// Event ids by transaction id.
    sent: BTreeMap<String, String>,
    /// Transaction ids of messages that were refused.
    refused: BTreeSet<String>,
    /// Values of account data by type.
    stored: BTreeMap<String, String>,
    /// Bytes of files by their URI.
    files: BTreeMap<String, Bytes>,
    /// How many requests were answered with 5xx.
    failures: usize,
}

/// The site of the disaster.
struct Site {
    alice: Session,
    client: Client,
    room: String,
    ledger: Ledger,
    count: usize,
}

impl Site {
    async fn open(server: &Myelin) -> Result<Self> {
        let alice = Session::register(server.address(), "alice").await?;
        let room = alice.room_with(&[]).await?;
        let client = alice.client();
        Ok(Self { alice, client, room, ledger: Ledger::default(), count: 0 })
    }

    /// Judges an answer to a write: done, or refused as a server's trouble in Matrix's form.
    fn is_done(&mut self, what: &str, answer: &Answer) -> bool {
        if answer.status.is_success() {
            return true;
        }
        assert!(answer.status.is_server_error(), "{what}: {} {}", answer.status, answer.json());
        assert!(!answer.errcode().is_empty(), "{what}: {} {}", answer.status, answer.json());
        self.ledger.failures += 1;
        false
    }

    async fn send(&mut self, txn: &str) -> Result<bool> {
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{txn}", self.room);
        let body = json!({"msgtype": "m.text", "body": format!("{txn} {}", "x".repeat(4_000))});
        let answer = self.client.put(&path, &body).await?;
        if !self.is_done("send", &answer) {
            self.ledger.refused.insert(txn.to_owned());
            return Ok(false);
        }
        let event = answer.json()["event_id"].as_str().context("no event id")?.to_owned();
        self.ledger.refused.remove(txn);
        let known = self.ledger.sent.insert(txn.to_owned(), event.clone());
        ensure!(known.is_none_or(|known| known == event), "{txn} made two events");
        Ok(true)
    }

    async fn store(&mut self) -> Result<bool> {
        let (kind, value) = (format!("org.example.k{}", self.count % 5), format!("{}", self.count));
        let path = format!("/_matrix/client/v3/user/{}/account_data/{kind}", self.alice.user_id);
        let answer = self.client.put(&path, &json!({"value": value, "padding": "y".repeat(2_000)})).await?;
        let done = self.is_done("account data", &answer);
        if done {
            self.ledger.stored.insert(kind, value);
        }
        Ok(done)
    }

    async fn upload(&mut self, size: usize) -> Result<bool> {
        let bytes = Bytes::from(format!("{} ", self.count).repeat(size / 4));
        let path = "/_matrix/media/v3/upload";
        let answer = self.client.send(Method::POST, path, "text/plain", bytes.clone()).await?;
        let done = self.is_done("upload", &answer);
        if done {
            let uri = answer.json()["content_uri"].as_str().context("no uri")?.to_owned();
            self.ledger.files.insert(uri, bytes);
        }
        Ok(done)
    }

    /// One write of each kind. How many were done.
    async fn write(&mut self) -> Result<usize> {
        self.count += 1;
        let txn = format!("t{}", self.count);
        let done = [self.send(&txn).await?, self.store().await?, self.upload(6_000).await?];
        Ok(done.into_iter().filter(|done| *done).count())
    }

    /// Writes until nothing can be written any more, and goes on for a while.
    async fn write_until_full(&mut self) -> Result<()> {
        let before = self.ledger.failures;
        for _ in 0..400 {
            let done = self.write().await?;
            if done == 0 && self.ledger.failures > before + 60 {
                return Ok(());
            }
        }
        anyhow::bail!("the disk never became full; {} requests failed", self.ledger.failures - before)
    }

    /// All that was acknowledged is there, each event once.
    async fn check(&mut self) -> Result<()> {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for event in events(&mut self.client, &self.room).await? {
            *found.entry(id(&event)?.to_owned()).or_default() += 1;
        }
        for (txn, event) in &self.ledger.sent {
            ensure!(found.get(event) == Some(&1), "{txn} is there {:?} times", found.get(event));
        }
        ensure!(found.values().all(|count| *count == 1), "an event is there twice");
        for (kind, value) in &self.ledger.stored {
            let path = format!("/_matrix/client/v3/user/{}/account_data/{kind}", self.alice.user_id);
            let stored = self.client.get(&path).await?.ok();
            ensure!(stored["value"].as_str() == Some(value), "{kind} should be {value}: {}", stored["value"]);
        }
        for (uri, bytes) in &self.ledger.files {
            let path = uri.strip_prefix("mxc://").context("no mxc URI")?;
            let path = format!("/_matrix/client/v1/media/download/{path}");
            let answer = self.client.get(&path).await?;
            ensure!(answer.status == 200 && answer.bytes == *bytes, "{uri}: {}", answer.status);
        }
        Ok(())
    }
}

/// What was logged as a warning or worse.
fn complaints(place: &Place, skip: usize) -> Vec<String> {
    let log = place.log();
    let bad = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    log.lines().filter(bad).skip(skip).map(str::to_owned).collect()
}

async fn survive(disk: &Path) -> Result<()> {
    let words = tempfile::tempdir()?;
    let mut place = Place::new(words.path())?;
    place.data = disk.join("data");
    let mut server = Myelin::start(place).await?;
    let mut site = Site::open(&server).await?;
    let mut complained = 0;
    for period in 1..=2 {
        while site.write().await? < 3 {}
        let failures = site.ledger.failures;
        let ballast = Ballast::lay(disk)?;
        site.write_until_full().await?;
        site.check().await.context("reading while the disk is full")?;
        // What is larger than the room that is left can't be stored, and leaves nothing behind.
        ensure!(!site.upload(4 << 20).await?, "a file was stored on a full disk");
        let staged = std::fs::read_dir(disk.join("data/media/staging"))?.count();
        assert_eq!(staged, 0, "what was uploaded in part was left behind");
        ballast.lift()?;
        assert_eq!(site.write().await?, 3, "there is room again, without a restart");
        for txn in site.ledger.refused.clone() {
            ensure!(site.send(&txn).await?, "{txn} is refused though there is room");
        }
        site.check().await.context("after there was room again")?;
        let failures = site.ledger.failures - failures;
        let lines = complaints(&server.place, complained);
        complained += lines.len();
        note(&format!("period {period}: {failures} requests failed, {} lines were logged", lines.len()));
        let of = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        let told = (of("store.disk.full"), of("media.disk.full"), lines.len());
        assert_eq!(told, (1, 1, 2), "a line each of store and media, not\n{}", lines.join("\n"));
    }
    // A crash while the disk is full, and a start on it: whatever can be done is done, and nothing is lost.
    let ballast = Ballast::lay(disk)?;
    site.write_until_full().await?;
    let place = server.kill().await?;
    let full = std::fs::OpenOptions::new().append(true).open(&ballast.0);
    let _ = full.and_then(|mut file| std::io::copy(&mut std::io::repeat(1), &mut file));
    server = start_on_a_full_disk(place, ballast).await?;
    site.client = site.alice.client();
    site.check().await.context("after a crash on a full disk")?;
    assert_eq!(site.write().await?, 3);
    let (place, status) = server.terminate(Duration::from_secs(15)).await?;
    assert!(status.success());
    let _server = Myelin::start(place).await?;
    site.check().await.context("after a restart")
}

/// The server starts and serves reads, or it refuses with one line and starts when there is room.
async fn start_on_a_full_disk(place: Place, ballast: Ballast) -> Result<Myelin> {
    let logged = place.log().len();
    let mut server = Myelin::spawn(place)?;
    if server.answers().await.is_ok() {
        note("started on a full disk");
        ballast.lift()?;
        return Ok(server);
    }
    let place = server.into_place();
    let log = place.log();
    let said = log.get(logged..).unwrap_or_default();
    note(&format!("refused to start on a full disk: {said}"));
    ensure!(said.lines().count() == 1, "not one line: {said}");
    ballast.lift()?;
    Myelin::start(place).await
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_recovers_when_space_returns() -> Result<()> {
    match std::env::var_os(DISK) {
        Some(disk) => survive(Path::new(&disk)).await,
        None => on_a_small_disk("a_full_disk_loses_nothing_and_recovers_when_space_returns"),
    }
}
