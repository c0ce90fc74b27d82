//! Logging in as Element X does (OAuth 2.0): the SDK registers itself, a person goes through the server's pages in Chromium, and
//! the sessions go on over a kill, renew their tokens, and end; cross-signing keys are replaced by what the person says on a page.

// The SDK's futures lie in one another.
#![recursion_limit = "256"]

use anyhow::{Context, ensure};
use matrix_sdk::encryption::CrossSigningResetAuthType;
use matrix_sdk::ruma::api::client::discovery::get_authorization_server_metadata::v1::Prompt;
use matrix_sdk::ruma::api::client::room::create_room::v3::Request as CreateRoom;
use matrix_sdk::{Client, RoomState};
use myelin_clients::device::Device;
use myelin_clients::element_x::log_in;
use myelin_clients::person::Person;
use myelin_clients::server::Server;
use myelin_clients::{logs, step};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

/// What the SDK's own logout sends, which it does over HTTPS only.
async fn revoke(client: &Client) -> anyhow::Result<()> {
    let endpoint = client.oauth().server_metadata().await?.revocation_endpoint;
    let tokens = client.session_tokens().context("no tokens")?;
    let client_id = client.oauth().client_id().context("not registered")?.to_string();
    let mut form = Url::parse("form:")?;
    let pairs = [
        ("token", tokens.access_token),
        ("token_type_hint", "access_token".to_owned()),
        ("client_id", client_id),
    ];
    form.query_pairs_mut().extend_pairs(pairs);
    let request = reqwest::Client::new().post(endpoint.as_str());
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = request.body(form.query().unwrap_or_default().to_owned()).send().await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn element_x_logs_in_through_the_pages_goes_on_over_a_kill_renews_and_logs_out() -> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;
    let mut person = Person::arrive()?;

    step("alice makes an account on the way, and logs in on a second device");
    let phone = Device::log_in_by(&server, "alice", "phone", async |client| {
        log_in(client, &mut person, Some(Prompt::Create)).await
    })
    .await?;
    let laptop =
        Device::log_in_by(&server, "alice", "laptop", async |client| log_in(client, &mut person, None).await)
            .await?;
    ensure!(
        phone.client.oauth().client_id() == laptop.client.oauth().client_id(),
        "one application, one client"
    );

    step("the server is killed, and both go on");
    server.crash().await?;
    let room = phone.client.create_room(CreateRoom::new()).await?;
    let (here, there) = (phone.open(room.room_id()).await?, laptop.open(room.room_id()).await?);
    here.say("hello").await?;
    there.sees("hello").await?;

    step("the tokens are renewed, and again after a kill");
    let before = phone.client.session_tokens().context("no tokens")?;
    phone.client.refresh_access_token().await?;
    here.say("renewed").await?;
    there.sees("renewed").await?;
    server.crash().await?;
    phone.client.refresh_access_token().await?;
    let after = phone.client.session_tokens().context("no tokens")?;
    ensure!(before.access_token != after.access_token && before.refresh_token != after.refresh_token);
    here.say("and again").await?;
    there.sees("and again").await?;

    step("alice has lost her keys, and replaces them with what she says on the page");
    let handle =
        laptop.client.encryption().reset_cross_signing().await?.context("no consent was asked for")?;
    let CrossSigningResetAuthType::OAuth(info) = handle.auth_type() else {
        anyhow::bail!("asked for {:?}", handle.auth_type())
    };
    person.allow_reset(&info.approval_url).await?;
    handle.auth(None).await?;
    laptop.cross_signed().await?;

    step("the phone logs out, and its device is gone");
    let phone_id = phone.client.device_id().context("no device")?.to_owned();
    phone.sync.stop().await;
    revoke(&phone.client).await?;
    let devices = laptop.client.devices().await?.devices;
    ensure!(devices.iter().all(|device| device.device_id != phone_id), "{devices:?}");
    ensure!(phone.client.whoami().await.is_err(), "its tokens have ended");
    laptop.room(room.room_id(), RoomState::Joined).await?;
    person.leave().await?;
    Ok(())
}
