//! A traced run: what was answered with 200 was on disk before the first byte of the answer.
//!
//! The order in `strace`'s output is the order of effects: each thread is held at the entry and the end of each call
//! until `strace` has written it down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use myelin_reliability::trace::{Call, TRACED, parse};
use myelin_reliability::{Client, Myelin, Place, Session};
use serde_json::{Value, json};
use tempfile::TempDir;

const WRITES: &[&str] = &["write", "writev", "pwrite64", "pwritev", "pwritev2"];
const STOP: Duration = Duration::from_secs(30);

/// A traced server and what was asked of it.
struct Traced {
    folder: TempDir,
    server: Option<Myelin>,
    data: PathBuf,
    asked: Vec<Asked>,
}

/// A request that was answered with 200.
struct Asked {
    /// What the request can be found by in the trace: its method and path.
    line: String,
    /// What must be found in what was written to the store's log; without it, any write will do.
    marker: Option<String>,
}

impl Traced {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = folder.path().canonicalize()?;
        let mut place = Place::new(&root)?;
        let trace = root.join("trace");
        // Detached, so that the server itself is our child: killed when the test fails, and the tracer with it.
        let through = ["strace", "-D", "-f", "-yy", "-s", "2000000", "-e", TRACED, "-e", "signal=none", "-o"];
        place.through = through.iter().map(Into::into).chain([trace.into()]).collect();
        let data = place.data.clone();
        let server = Myelin::start(place).await.context("a traced server did not start")?;
        Ok(Self { folder, data, server: Some(server), asked: Vec::new() })
    }

    fn address(&self) -> Result<std::net::SocketAddr> {
        Ok(self.server.as_ref().context("the server is running")?.address())
    }

    /// Asks, and notes what must be on disk before the answer. Returns the answer.
    async fn ask(
        &mut self,
        client: &mut Client,
        method: Method,
        path: &str,
        body: &Value,
        marker: Option<&str>,
    ) -> Result<Value> {
        let line = format!("{method} {path} HTTP/1.1");
        let answer = client.call(method, path, body).await?;
        ensure!(answer.status == 200, "{line}: {} {}", answer.status, answer.json());
        self.asked.push(Asked { line, marker: marker.map(str::to_owned) });
        Ok(answer.json())
    }

    /// Ends the server and reads what it did.
    async fn calls(&mut self) -> Result<Vec<Call>> {
        let server = self.server.take().context("the server is running")?;
        server.terminate(STOP).await?;
        let path = self.folder.path().join("trace");
        for _ in 0..1_000 {
            let text = std::fs::read_to_string(&path)?;
            if text.lines().last().is_some_and(|line| line.contains("+++ exited with")) {
                return Ok(parse(&text));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("strace did not finish {}", path.display())
    }
}

/// The time between the arrival of a request and the first byte of its answer.
struct Window<'c> {
    calls: Vec<&'c Call>,
    answer: &'c Call,
}

fn window<'c>(calls: &'c [Call], asked: &Asked) -> Result<Window<'c>> {
    // The server looks at the first 24 bytes of a connection alone, for they may be the preface of HTTP/2.
    let tail = asked.line.get(24..).context("a long line")?;
    let is_from = |call: &&Call| call.target().starts_with("TCP") && call.arguments.contains(tail);
    let arrived = calls.iter().find(is_from).with_context(|| format!("{} never arrived", asked.line))?;
    ensure!(
        ["read", "readv", "recvfrom", "recvmsg"].contains(&&*arrived.name),
        "arrived by {}",
        arrived.name
    );
    let answers = |call: &&Call| {
        call.start > arrived.end
            && ["write", "writev", "sendto", "sendmsg"].contains(&&*call.name)
            && call.target() == arrived.target()
    };
    let answer = calls.iter().find(answers).with_context(|| format!("{} had no answer", asked.line))?;
    ensure!(
        answer.arguments.contains("HTTP/1.1 200"),
        "{}: the first words of the answer: {answer:?}",
        asked.line
    );
    let within = calls.iter().filter(|call| call.start > arrived.start && call.start < answer.start);
    Ok(Window { calls: within.collect(), answer })
}

impl Window<'_> {
    /// The write to the store's log that holds the request's data was followed by an fsync of the log on the same
    /// thread, and that returned before the answer.
    fn assert_durable(&self, log: &Path, asked: &Asked) {
        let mut writes = self.calls.iter().filter(|call| call.is(WRITES) && Path::new(call.target()) == log);
        let holds =
            |call: &&&Call| asked.marker.as_ref().is_none_or(|marker| call.arguments.contains(marker));
        let Some(write) = writes.rfind(holds) else {
            panic!(
                "{}: its data {:?} was not written to the log before the answer",
                asked.line, asked.marker
            );
        };
        let sync = self
            .calls
            .iter()
            .find(|call| call.syncs(log) && call.start > write.end && call.thread == write.thread);
        let Some(sync) = sync else {
            panic!("{}: answered before the log was synced", asked.line);
        };
        assert!(sync.end < self.answer.start, "{}: answered before the fsync returned", asked.line);
    }
}

/// A word that occurs nowhere else.
fn word(of: &str) -> String {
    format!("marker0{of}0")
}

async fn sessions(traced: &mut Traced, alice: &Session) -> Result<()> {
    let mut client = Client::new(alice.address);
    let device = word("device");
    let mut wish = myelin_reliability::login("alice", myelin_reliability::PASSWORD);
    wish["device_id"] = json!(device);
    wish["refresh_token"] = json!(true);
    let login = "/_matrix/client/v3/login";
    let session = traced.ask(&mut client, Method::POST, login, &wish, Some(&device)).await?;
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let refreshed =
        traced.ask(&mut client, Method::POST, "/_matrix/client/v3/refresh", &refresh, None).await?;
    client.set_token(refreshed["access_token"].as_str().context("no token")?);
    let name = word("devicename");
    let path = format!("/_matrix/client/v3/devices/{device}");
    let body = json!({"display_name": name});
    traced.ask(&mut client, Method::PUT, &path, &body, Some(&name)).await?;
    traced.ask(&mut client, Method::POST, "/_matrix/client/v3/logout", &json!({}), None).await?;
    Ok(())
}

async fn rooms(traced: &mut Traced, alice: &Session, bob: &Session) -> Result<()> {
    let (mut client, mut other) = (alice.client(), bob.client());
    let name = word("room");
    let wish = json!({"name": name, "preset": "public_chat"});
    let made =
        traced.ask(&mut client, Method::POST, "/_matrix/client/v3/createRoom", &wish, Some(&name)).await?;
    let room = made["room_id"].as_str().context("no room id")?;
    let at = |path: &str| format!("/_matrix/client/v3/rooms/{room}{path}");
    let reason = word("joining");
    let body = json!({"reason": reason});
    traced.ask(&mut other, Method::POST, &at("/join"), &body, Some(&reason)).await?;
    let words = word("message");
    let body = json!({"msgtype": "m.text", "body": words});
    let sent =
        traced.ask(&mut client, Method::PUT, &at("/send/m.room.message/1"), &body, Some(&words)).await?;
    let event = sent["event_id"].as_str().context("no event id")?;
    let topic = word("topic");
    let body = json!({"topic": topic});
    traced.ask(&mut client, Method::PUT, &at("/state/m.room.topic"), &body, Some(&topic)).await?;
    let reason = word("redacting");
    let body = json!({"reason": reason});
    traced.ask(&mut client, Method::PUT, &at(&format!("/redact/{event}/2")), &body, Some(&reason)).await?;
    let receipt = at(&format!("/receipt/m.read/{event}"));
    traced.ask(&mut other, Method::POST, &receipt, &json!({}), Some(event)).await?;
    let markers = json!({"m.fully_read": event});
    traced.ask(&mut other, Method::POST, &at("/read_markers"), &markers, Some(event)).await?;
    let reason = word("leaving");
    traced.ask(&mut other, Method::POST, &at("/leave"), &json!({"reason": reason}), Some(&reason)).await?;
    Ok(())
}

async fn keys(traced: &mut Traced, alice: &Session, bob: &Session) -> Result<()> {
    let (mut client, mut other) = (alice.client(), bob.client());
    let key = word("onetimekey");
    let keys = json!({"one_time_keys": {"curve25519:AAAAAQ": key}});
    traced.ask(&mut client, Method::POST, "/_matrix/client/v3/keys/upload", &keys, Some(&key)).await?;
    let wanted = json!({"one_time_keys": {&alice.user_id: {&alice.device_id: "curve25519"}}});
    let claim = "/_matrix/client/v3/keys/claim";
    let claimed = traced.ask(&mut other, Method::POST, claim, &wanted, Some(&key)).await?;
    ensure!(claimed.to_string().contains(&key), "the key was not handed out: {claimed}");
    let words = word("todevice");
    let messages = json!({"messages": {&alice.user_id: {&alice.device_id: {"words": words}}}});
    let path = "/_matrix/client/v3/sendToDevice/m.test/1";
    traced.ask(&mut other, Method::PUT, path, &messages, Some(&words)).await?;
    let version = "/_matrix/client/v3/room_keys/version";
    let public_key = word("backup");
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": public_key, "signatures": {}},
    });
    let made = traced.ask(&mut client, Method::POST, version, &backup, Some(&public_key)).await?;
    let version = made["version"].as_str().context("no version")?;
    let path = format!("/_matrix/client/v3/room_keys/keys/!room:localhost/session?version={version}");
    let words = word("session");
    let session = json!({
        "first_message_index": 0, "forwarded_count": 0, "is_verified": true,
        "session_data": {"ephemeral": "e", "ciphertext": words, "mac": "m"},
    });
    traced.ask(&mut client, Method::PUT, &path, &session, Some(&words)).await?;
    Ok(())
}

async fn account(traced: &mut Traced, alice: &Session) -> Result<()> {
    let mut client = alice.client();
    let user = format!("/_matrix/client/v3/user/{}", alice.user_id);
    let words = word("accountdata");
    let body = json!({"words": words});
    let path = format!("{user}/account_data/org.example.test");
    traced.ask(&mut client, Method::PUT, &path, &body, Some(&words)).await?;
    let name = word("displayname");
    let path = format!("/_matrix/client/v3/profile/{}/displayname", alice.user_id);
    traced.ask(&mut client, Method::PUT, &path, &json!({"displayname": name}), Some(&name)).await?;
    let kind = word("filter");
    let filter = json!({"room": {"timeline": {"types": [kind]}}});
    traced.ask(&mut client, Method::POST, &format!("{user}/filter"), &filter, Some(&kind)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_synced_before_the_first_byte_of_its_answer() -> Result<()> {
    let mut traced = Traced::start().await?;
    let address = traced.address()?;
    let alice = Session::register(address, "alice").await?;
    let bob = Session::register(address, "bob").await?;
    sessions(&mut traced, &alice).await?;
    rooms(&mut traced, &alice, &bob).await?;
    keys(&mut traced, &alice, &bob).await?;
    account(&mut traced, &alice).await?;
    let calls = traced.calls().await?;
    let log = traced.data.join("myelin.db-wal");
    for asked in &traced.asked {
        window(&calls, asked)?.assert_durable(&log, asked);
    }
    assert!(!calls.iter().any(|call| call.name == "io_uring_enter"), "writes by io_uring escape this trace");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_its_name_and_its_record_are_synced_before_the_upload_is_answered() -> Result<()> {
    let mut traced = Traced::start().await?;
    let alice = Session::register(traced.address()?, "alice").await?;
    let words = word("blob");
    let mut client = alice.client();
    // One that goes in one piece, and one that goes in many.
    for (number, repeats) in [(1, 1), (2, 150_000)] {
        let bytes = Bytes::from(format!("{number} {}", words.repeat(repeats)));
        let path = format!("/_matrix/media/v3/upload?filename={words}{number}");
        let answer = client.send(Method::POST, &path, "text/plain", bytes).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.json());
        let (line, marker) = (format!("POST {path} HTTP/1.1"), Some(format!("{words}{number}")));
        traced.asked.push(Asked { line, marker });
    }
    let calls = traced.calls().await?;
    let media = traced.data.join("media");
    for asked in &traced.asked {
        let window = window(&calls, asked)?;
        window.assert_durable(&traced.data.join("myelin.db-wal"), asked);
        assert_blob_is_durable(&window, &media, &words);
    }
    Ok(())
}

/// The blob was written and synced, got its name, and every folder on the way to it was synced then.
fn assert_blob_is_durable(window: &Window<'_>, media: &Path, words: &str) {
    let in_media = |call: &&&Call| call.is(WRITES) && Path::new(call.target()).starts_with(media);
    let write = window.calls.iter().filter(in_media).rfind(|call| call.arguments.contains(words));
    let write = write.expect("the blob was not written before the answer");
    let staged = Path::new(write.target());
    let synced = window.calls.iter().find(|call| call.syncs(staged) && call.start > write.end);
    let synced = synced.expect("the blob was not synced before the answer");
    let renames = ["rename", "renameat", "renameat2"];
    let renamed = window.calls.iter().find(|call| call.is(&renames) && call.start > synced.end);
    let renamed = renamed.expect("the blob got no name after it was synced");
    let name = renamed.arguments.rsplit('"').nth(1).expect("a rename has two names");
    let folder = Path::new(name).parent().expect("a blob is in a folder");
    assert!(folder.starts_with(media), "{name}");
    let named = window.calls.iter().find(|call| call.syncs(folder) && call.start > renamed.end);
    assert!(named.is_some_and(|call| call.end < window.answer.start), "{} was not synced", folder.display());
    for made in window.calls.iter().filter(|call| call.is(&["mkdir", "mkdirat"])) {
        let path = made.arguments.split('"').nth(1).expect("mkdir has a name");
        let parent = Path::new(path).parent().expect("below the media folder");
        let synced = window.calls.iter().find(|call| call.syncs(parent) && call.start > made.end);
        let synced = synced.is_some_and(|call| call.end < window.answer.start);
        assert!(synced, "{path} was made, and {} was not synced", parent.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_start_makes_is_found_again_after_a_power_cut() -> Result<()> {
    let mut traced = Traced::start().await?;
    Session::register(traced.address()?, "alice").await?;
    let calls = traced.calls().await?;
    let first = calls.iter().find(|call| {
        call.target().starts_with("TCP")
            && call.arguments.contains("HTTP/1.1 200")
            && call.is(&["write", "writev", "sendto"])
    });
    let first = first.context("nothing was answered")?;
    let data = &traced.data;
    let synced_after = |folder: &Path, made: &Call| {
        calls.iter().any(|call| call.syncs(folder) && call.start > made.end && call.end < first.start)
    };
    let made = |names: &[&str], path: &Path| {
        let quoted = format!("\"{}\"", path.display());
        let makes = |call: &&Call| {
            call.is(names)
                && call.arguments.contains(&quoted)
                && (call.name != "openat" || call.arguments.contains("O_CREAT"))
        };
        calls.iter().find(makes).with_context(|| format!("{} was not made by {names:?}", path.display()))
    };
    let folder = made(&["mkdir", "mkdirat"], data)?;
    assert!(synced_after(data.parent().context("it has a parent")?, folder), "the data folder's own name");
    for name in ["myelin.db", "myelin.db-wal"] {
        assert!(
            synced_after(data, made(&["openat"], &data.join(name))?),
            "{name} is not safely in its folder"
        );
    }
    let key = made(&["rename", "renameat", "renameat2"], &data.join("signing.key"))?;
    assert!(synced_after(data, key), "the signing key is not safely in its folder");
    let media = made(&["mkdir", "mkdirat"], &data.join("media"))?;
    assert!(synced_after(data, media), "the media folder is not safely in its folder");
    Ok(())
}
