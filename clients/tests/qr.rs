//! Signing in by QR code as Element X does: one device shows a code, the other scans it, they meet at the server, and a person
//! lets the new one in on a page. It is verified from the first moment.

// The SDK's futures lie in one another.
#![recursion_limit = "256"]

use anyhow::{Context, ensure};
use futures_util::{Stream, StreamExt};
use matrix_sdk::authentication::oauth::qrcode::{
    CheckCodeSender, GeneratedQrProgress, GrantLoginProgress, LoginProgress, QrCodeData, QrProgress,
};
use matrix_sdk::ruma::api::client::discovery::get_authorization_server_metadata::v1::Prompt;
use matrix_sdk::ruma::api::client::room::create_room::v3::Request as CreateRoom;
use myelin_clients::device::Device;
use myelin_clients::element_x::{log_in, metadata};
use myelin_clients::person::Person;
use myelin_clients::server::Server;
use myelin_clients::{logs, step};
use tokio::sync::oneshot;

/// What people carry from one screen to the other.
struct Desk {
    code: Option<oneshot::Sender<QrCodeData>>,
    digits: Option<oneshot::Receiver<u8>>,
}

impl Desk {
    /// The device that shows the code and then asks for the digits.
    async fn shown(&mut self, progress: GeneratedQrProgress) -> anyhow::Result<()> {
        match progress {
            GeneratedQrProgress::QrReady(code) => {
                let code = self.code.take().context("another code")?.send(code);
                code.map_err(|_| anyhow::anyhow!("nobody scans"))
            }
            GeneratedQrProgress::QrScanned(asks) => self.type_in(asks).await,
        }
    }

    async fn type_in(&mut self, asks: CheckCodeSender) -> anyhow::Result<()> {
        let digits = self.digits.take().context("asked twice")?.await?;
        asks.send(digits).await.map_err(Into::into)
    }
}

/// Follows the device that has the account, whose part the caller takes where a code is shown or scanned.
async fn follow_granting<Q>(
    mut states: impl Stream<Item = GrantLoginProgress<Q>> + Unpin,
    person: &mut Person,
    mut meet: impl AsyncFnMut(Q) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(state) = states.next().await {
        match state {
            GrantLoginProgress::Starting | GrantLoginProgress::SyncingSecrets => {}
            GrantLoginProgress::EstablishingSecureChannel(how) => meet(how).await?,
            GrantLoginProgress::WaitingForAuth { verification_uri } => {
                person.connect(&verification_uri).await?;
            }
            GrantLoginProgress::Done => break,
        }
    }
    Ok(())
}

/// Follows the new device.
async fn follow_new<Q>(
    mut states: impl Stream<Item = LoginProgress<Q>> + Unpin,
    mut meet: impl AsyncFnMut(Q) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(state) = states.next().await {
        match state {
            LoginProgress::EstablishingSecureChannel(how) => meet(how).await?,
            LoginProgress::Done => break,
            _ => {}
        }
    }
    Ok(())
}

/// Whoever scanned says the digits once.
fn say(digits: &mut Option<oneshot::Sender<u8>>, progress: &QrProgress) -> anyhow::Result<()> {
    let sent = digits.take().context("said twice")?.send(progress.check_code.to_digit());
    sent.map_err(|_| anyhow::anyhow!("nobody asks for the digits"))
}

async fn new_one_scans(server: &Server, phone: &Device, person: &mut Person) -> anyhow::Result<Device> {
    let (code, scanned) = oneshot::channel();
    let (digits, typed) = oneshot::channel();
    let (mut desk, mut digits) = (Desk { code: Some(code), digits: Some(typed) }, Some(digits));
    let oauth = phone.client.oauth();
    let grant = oauth.grant_login_with_qr_code().generate();
    let granting =
        follow_granting(Box::pin(grant.subscribe_to_progress()), person, async |how| desk.shown(how).await);
    let laptop = Device::log_in_by(server, "alice", "laptop", async |client| {
        let code = scanned.await?;
        let (oauth, registration) = (client.oauth(), metadata()?.into());
        let login = oauth.login_with_qr_code(Some(&registration)).scan(&code);
        let states = Box::pin(login.subscribe_to_progress());
        let following = follow_new(states, async |how| say(&mut digits, &how));
        tokio::try_join!(async { Ok(login.await?) }, following).map(drop)
    });
    // Where one of them fails the others would wait for it.
    let ((), (), laptop) = tokio::try_join!(async { Ok(grant.await?) }, granting, laptop)?;
    Ok(laptop)
}

async fn new_one_shows(server: &Server, phone: &Device, person: &mut Person) -> anyhow::Result<Device> {
    let (code, scanned) = oneshot::channel();
    let (digits, typed) = oneshot::channel();
    let (mut desk, mut digits) = (Desk { code: Some(code), digits: Some(typed) }, Some(digits));
    let granting = async {
        let code = scanned.await?;
        let oauth = phone.client.oauth();
        let grant = oauth.grant_login_with_qr_code().scan(&code);
        let states = Box::pin(grant.subscribe_to_progress());
        let following = follow_granting(states, person, async |how| say(&mut digits, &how));
        tokio::try_join!(async { Ok(grant.await?) }, following).map(drop)
    };
    let tablet = Device::log_in_by(server, "alice", "tablet", async |client| {
        let (oauth, registration) = (client.oauth(), metadata()?.into());
        let login = oauth.login_with_qr_code(Some(&registration)).generate();
        let states = Box::pin(login.subscribe_to_progress());
        let following = follow_new(states, async |how| desk.shown(how).await);
        tokio::try_join!(async { Ok(login.await?) }, following).map(drop)
    });
    let ((), tablet) = tokio::try_join!(granting, tablet)?;
    Ok(tablet)
}

#[tokio::test(flavor = "multi_thread")]
async fn element_x_signs_in_by_qr_code_whichever_device_shows_it() -> anyhow::Result<()> {
    logs();
    let server = Server::start().await?;
    let mut person = Person::arrive()?;

    step("alice makes an account on her phone, and a room");
    let phone = Device::log_in_by(&server, "alice", "phone", async |client| {
        log_in(client, &mut person, Some(Prompt::Create)).await
    })
    .await?;
    phone.cross_signed().await?;
    let room = phone.client.create_room(CreateRoom::new()).await?;

    step("her laptop scans what the phone shows");
    let laptop = new_one_scans(&server, &phone, &mut person).await?;
    step("her phone scans what the tablet shows");
    let tablet = new_one_shows(&server, &phone, &mut person).await?;

    step("all three are hers, verified, and talk");
    let chat = phone.open(room.room_id()).await?;
    chat.say("hello").await?;
    for device in [&laptop, &tablet] {
        let own = device.client.encryption().get_own_device().await?.context("no device of its own")?;
        ensure!(own.is_cross_signed_by_owner(), "{} is not verified", device.label);
        let status = device.client.encryption().cross_signing_status().await.context("no keys")?;
        ensure!(status.is_complete(), "{} has not all keys: {status:?}", device.label);
        device.open(room.room_id()).await?.sees("hello").await?;
    }
    person.leave().await?;
    Ok(())
}
