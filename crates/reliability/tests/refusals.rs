//! What the server can't work with it refuses: one line that says why, a failure code, and a folder as it was.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use myelin_reliability::{Ended, Fingerprint, Myelin, Place, Session, run};
use serde_json::json;
use tempfile::TempDir;

const STOP: Duration = Duration::from_secs(15);

/// The start was refused with exactly one line, which says this.
#[track_caller]
fn assert_refused(ended: &Ended, says: &[&str]) {
    assert!(!ended.status.success(), "it did not fail: {ended:?}");
    assert_eq!(ended.status.code(), Some(1), "it failed in another way: {ended:?}");
    assert_eq!(ended.errors.trim_end().lines().count(), 1, "not one line: {}", ended.errors);
    assert!(ended.output.is_empty(), "it greeted: {}", ended.output);
    for part in says {
        let says = ended.errors.to_lowercase().contains(&part.to_lowercase());
        assert!(says, "{part:?} is not in {:?}", ended.errors);
    }
}

/// A folder that a server has lived in and left: with a user, a room and a file.
async fn lived_in() -> Result<(TempDir, Place)> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    alice.room_with(&[]).await?;
    let mut client = alice.client();
    let upload = client.send(Method::POST, "/_matrix/media/v3/upload", "text/plain", "a file".into());
    assert!(upload.await?.status.is_success());
    let (place, status) = server.terminate(STOP).await?;
    assert!(status.success());
    Ok((folder, place))
}

/// Starting here is refused, and the folder stays as it was to the byte.
async fn refuses_and_leaves(place: &Place, says: &[&str]) -> Result<()> {
    let before = Fingerprint::of(&place.data)?;
    let ended = run(place, &[], None).await?;
    assert_refused(&ended, says);
    let changes = before.changes(&Fingerprint::of(&place.data)?);
    assert!(changes.is_empty(), "the folder was changed: {changes:#?}");
    Ok(())
}

/// The folder serves again what was put there.
async fn still_serves(place: Place) -> Result<()> {
    let server = Myelin::start(place).await?;
    let alice = Session::log_in(server.address(), "alice").await?;
    let rooms = alice.client().get("/_matrix/client/v3/joined_rooms").await?.ok();
    assert_eq!(rooms["joined_rooms"].as_array().map(Vec::len), Some(1));
    server.kill().await?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_refused_before_the_folder_is_touched() -> Result<()> {
    for (name, text, says) in [
        ("an unknown key", "server_nam = \"example.org\"\n", "server_nam"),
        ("an unknown key in a section", "[limits]\nenable = false\n", "enable"),
        ("a value of another type", "listen = 8008\n", "listen"),
        ("an address without a port", "listen = [\"127.0.0.1\"]\n", "listen"),
        ("no server name", "server_name = \"not a name\"\n", "server_name"),
        ("an unknown choice", "registration = \"maybe\"\n", "registration"),
        ("an unknown store", "store = \"redis\"\n", "store"),
        ("a broken filter of logs", "[log]\nlevel = \"loud=very\"\n", "log.level"),
        ("no TOML", "server_name = \n", "server_name"),
        (
            "a certificate that is not there",
            "[tls]\nlisten = [\"127.0.0.1:0\"]\ncert = \"/nowhere/c\"\nkey = \"/nowhere/k\"\n",
            "/nowhere/",
        ),
    ] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("myelin.toml");
        std::fs::write(&file, text)?;
        // Only the file speaks, so that nothing in the environment overrides it.
        let mut place = Place::new(folder.path())?;
        place.environment.clear();
        let mut command = place.command(&["serve", "--config", &file.display().to_string()])?;
        command.env_remove("MYELIN_LISTEN");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let ended = myelin_reliability::ended_within(command.spawn()?, STOP).await.context(name)?;
        assert_refused(&ended, &[says]);
        assert!(!place.data.exists(), "{name}: a data folder was made");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_value_in_the_environment_is_refused_and_named() -> Result<()> {
    for (variable, value, says) in [
        ("MYELIN_DURABILITY", "sometimes", "durability"),
        ("MYELIN_LIMITS__CONNECTIONS", "many", "connections"),
        ("MYELIN_SERVERNAME", "example.org", "servername"),
    ] {
        let folder = tempfile::tempdir()?;
        let place = Place::new(folder.path())?.with(variable, value);
        let ended = run(&place, &[], None).await?;
        assert_refused(&ended, &[says]);
        assert!(!place.data.exists());
    }
    Ok(())
}

#[tokio::test]
async fn a_configuration_file_that_is_not_there_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::new(folder.path())?;
    let ended = run(&place, &["serve", "--config", "/nowhere/myelin.toml"], None).await?;
    assert_refused(&ended, &["/nowhere/myelin.toml"]);
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_refused_before_the_folder_is_touched() -> Result<()> {
    let (_folder, place) = lived_in().await?;
    let taken = TcpListener::bind(place.address)?;
    refuses_and_leaves(&place, &[&place.address.to_string(), "another program listens there"]).await?;
    let fresh = tempfile::tempdir()?;
    let mut elsewhere = Place::new(fresh.path())?;
    elsewhere.address = place.address;
    assert_refused(&run(&elsewhere, &[], None).await?, &["another program listens there"]);
    assert!(!elsewhere.data.exists(), "a data folder was made");
    drop(taken);
    still_serves(place).await
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_or_written_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // Root may write everywhere, except where nobody can: below a file, and in the system's own views.
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder")?;
    for data in [file.join("data"), file.clone(), "/proc/myelin-data".into()] {
        let mut place = Place::new(folder.path())?;
        let name = data.display().to_string();
        place.data = data;
        assert_refused(&run(&place, &[], None).await?, &[&name]);
    }
    assert_eq!(std::fs::read_to_string(&file)?, "not a folder");
    Ok(())
}

#[tokio::test]
async fn a_folder_on_a_read_only_file_system_is_refused() -> Result<()> {
    let (_folder, mut place) = lived_in().await?;
    // In namespaces of its own, the folder is mounted again, read only.
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let user = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount];
    let root = ["unshare", "--mount", "sh", "-c", mount];
    let works = |how: &[&str]| {
        let tried = std::process::Command::new(how[0]).args(&how[1..]).arg(&place.data).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let how: &[&str] = if works(&user) { &user } else { &root };
    assert!(
        works(how),
        "unshare makes no namespace with a read-only mount: not permitted here, even as root?"
    );
    place.through = how.iter().map(Into::into).collect();
    place.through.push(place.data.clone().into());
    refuses_and_leaves(&place, &[&place.data.display().to_string()]).await?;
    place.through.clear();
    still_serves(place).await
}

#[tokio::test]
async fn the_folder_of_another_server_is_refused() -> Result<()> {
    let (_folder, mut place) = lived_in().await?;
    place = place.with("MYELIN_SERVER_NAME", "other.example");
    refuses_and_leaves(&place, &["localhost", "other.example"]).await?;
    still_serves(place.with("MYELIN_SERVER_NAME", "localhost")).await
}

#[tokio::test]
async fn the_store_of_a_newer_release_is_refused() -> Result<()> {
    let (_folder, place) = lived_in().await?;
    let was = set_schema_version(&place.data.join("myelin.db"), b'9')?;
    refuses_and_leaves(&place, &["schema 9", "newer release"]).await?;
    set_schema_version(&place.data.join("myelin.db"), was)?;
    still_serves(place).await
}

/// Writes another schema version over the one in the store's file, as a later release would have; returns the old one.
fn set_schema_version(store: &Path, version: u8) -> Result<u8> {
    const NAME: &[u8] = b"schema_version";
    let mut bytes = std::fs::read(store)?;
    let mut was = None;
    for at in 0..bytes.len().saturating_sub(NAME.len()) {
        let value = at + NAME.len();
        if bytes[at..].starts_with(NAME) && bytes[value].is_ascii_digit() {
            was = Some(std::mem::replace(&mut bytes[value], version));
        }
    }
    std::fs::write(store, bytes)?;
    was.context("the store's file names no schema version")
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_kept() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::new(folder.path())?;
    std::fs::create_dir(&place.data)?;
    // Whatever came before it: only the store's own file must stay as it is.
    std::fs::write(place.data.join("myelin.db"), "these are my notes, not a store\n".repeat(200))?;
    let ended = run(&place, &[], None).await?;
    assert_refused(&ended, &["myelin.db"]);
    let notes = std::fs::read_to_string(place.data.join("myelin.db"))?;
    assert_eq!(notes, "these are my notes, not a store\n".repeat(200));
    Ok(())
}

#[tokio::test]
async fn a_damaged_signing_key_is_refused_and_never_replaced() -> Result<()> {
    let (_folder, place) = lived_in().await?;
    let path = place.data.join("signing.key");
    let whole = std::fs::read_to_string(&path)?;
    for damaged in
        ["", "ed25519", "ed25519 a_1 tooshort", "rsa a_1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        std::fs::write(&path, damaged)?;
        refuses_and_leaves(&place, &["signing.key", "backup"]).await?;
    }
    std::fs::write(&path, [0xff, 0xfe, 0x00])?;
    refuses_and_leaves(&place, &["signing.key"]).await?;
    std::fs::write(&path, whole)?;
    still_serves(place).await
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let alice = Session::register(server.address(), "alice").await?;
    let room = alice.room_with(&[]).await?;
    let mut second = Place::new(folder.path())?;
    assert_ne!(second.address, server.address());
    second.data.clone_from(&server.place.data);
    // The first one is held still meanwhile, since it may write whenever it likes: what changes is the second one's doing.
    server.hold().await?;
    refuses_and_leaves(&second, &[&second.data.display().to_string()]).await?;
    server.go_on().await?;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    alice.client().put(&path, &json!({"msgtype": "m.text", "body": "still here"})).await?.ok();
    still_serves(server.kill().await?).await
}
