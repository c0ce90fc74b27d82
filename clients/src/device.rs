//! A person's device: a client with its stores, run the way Element X runs it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use matrix_sdk::authentication::matrix::MatrixSession;
use matrix_sdk::config::RequestConfig;
use matrix_sdk::cross_process_lock::CrossProcessLockConfig;
use matrix_sdk::encryption::{BackupDownloadStrategy, EncryptionSettings, VerificationState};
use matrix_sdk::ruma::api::client::account::register::v3::Request as Register;
use matrix_sdk::ruma::api::client::to_device::send_event_to_device::v3::Request as SendToDevice;
use matrix_sdk::ruma::api::client::uiaa::{AuthData, Dummy};
use matrix_sdk::ruma::events::key::verification::request::ToDeviceKeyVerificationRequestEvent;
use matrix_sdk::ruma::events::room::message::OriginalSyncRoomMessageEvent;
use matrix_sdk::ruma::events::secret::send::ToDeviceSecretSendEvent;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::ruma::to_device::DeviceIdOrAllDevices;
use matrix_sdk::ruma::{RoomId, TransactionId, UserId};
use matrix_sdk::sliding_sync::{Version, VersionBuilder};
use matrix_sdk::{Client, Room, RoomState};
use matrix_sdk_ui::room_list_service::RoomListLoadingState;
use matrix_sdk_ui::sync_service::{State, SyncService};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chat::Chat;
use crate::server::Server;
use crate::wait::{broadcasts, changes, in_time, now_and_then, until};

/// A logged-in client that syncs in the background.
pub struct Device {
    /// What failures call it: `alice's phone`.
    pub label: String,
    /// The SDK's client.
    pub client: Client,
    /// Its sync: the room list's connection and the one of encryption.
    pub sync: Arc<SyncService>,
    folder: PathBuf,
    arrivals: watch::Sender<u64>,
    tasks: JoinSet<()>,
}

/// A device whose app is closed: what stays on its disk.
pub struct Closed {
    label: String,
    folder: PathBuf,
    session: MatrixSession,
}

/// How often a request is tried while the server does not answer. The pauses begin at half a second and double.
const TRIES: usize = 5;

impl Device {
    /// Makes an account by user-interactive authentication with its dummy stage; the answer logs this device in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn register(server: &Server, user: &str, device: &str) -> anyhow::Result<Self> {
        let (client, folder) = build(server, user, device).await?;
        let auth = client.matrix_auth();
        let refusal =
            auth.register(Register::new()).await.err().context("registered without authentication")?;
        let uiaa = refusal.as_uiaa_response().with_context(|| format!("no stages offered: {refusal}"))?;
        let mut dummy = Dummy::new();
        dummy.session.clone_from(&uiaa.session);
        let mut request = Register::new();
        request.username = Some(user.to_owned());
        request.password = Some(password(user));
        request.initial_device_display_name = Some(device.to_owned());
        request.auth = Some(AuthData::Dummy(dummy));
        auth.register(request).await?;
        Self::run(client, folder, format!("{user}'s {device}")).await
    }

    /// Logs in to an account that [`Device::register`] made.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn log_in(server: &Server, user: &str, device: &str) -> anyhow::Result<Self> {
        let (client, folder) = build(server, user, device).await?;
        let login = client.matrix_auth().login_username(user, &password(user));
        login.initial_device_display_name(device).send().await?;
        Self::run(client, folder, format!("{user}'s {device}")).await
    }

    /// Logs in however the caller does it.
    ///
    /// # Errors
    /// When the caller fails.
    pub async fn log_in_by(
        server: &Server,
        user: &str,
        device: &str,
        log_in: impl AsyncFnOnce(&Client) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let (client, folder) = build(server, user, device).await?;
        log_in(&client).await?;
        Self::run(client, folder, format!("{user}'s {device}")).await
    }

    /// Starts the app of a closed device again.
    ///
    /// # Errors
    /// When its stores can't be opened.
    pub async fn reopen(server: &Server, closed: Closed) -> anyhow::Result<Self> {
        let client = client(server, &closed.folder).await?;
        client.restore_session(closed.session).await?;
        Self::run(client, closed.folder, closed.label).await
    }

    /// Ends the app. Its stores remain.
    ///
    /// # Errors
    /// When it has no session.
    pub async fn close(mut self) -> anyhow::Result<Closed> {
        self.tasks.shutdown().await;
        self.sync.stop().await;
        let session = self.client.matrix_auth().session().context("no session to keep")?;
        Ok(Closed { label: self.label, folder: self.folder, session })
    }

    async fn run(client: Client, folder: PathBuf, label: String) -> anyhow::Result<Self> {
        anyhow::ensure!(
            matches!(client.sliding_sync_version(), Version::Native),
            "{label}: the server does not offer sliding sync"
        );
        let sync = Arc::new(SyncService::builder(client.clone()).with_offline_mode().build().await?);
        let arrivals = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_syncing(label.clone(), client.clone(), sync.clone()));
        tasks.spawn(keep_sending(label.clone(), client.clone(), sync.clone()));
        count_arrivals(&client, &arrivals);
        sync.start().await;
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        Ok(Self { label, client, sync, folder, arrivals, tasks })
    }

    /// Who uses it.
    ///
    /// # Panics
    /// Never: it is logged in.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.client.user_id().expect("logged in")
    }

    /// Ends the long poll of its encryption sync. The SDK answers a verification that runs in a room only between two
    /// syncs of that connection, which would else be every thirty seconds.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn nudge(&self) -> anyhow::Result<()> {
        let nothing = Raw::new(&serde_json::json!({}))?.cast_unchecked();
        let to = BTreeMap::from([(DeviceIdOrAllDevices::AllDevices, nothing)]);
        let to = BTreeMap::from([(self.user_id().to_owned(), to)]);
        let request = SendToDevice::new_raw("org.myelin.nudge".into(), TransactionId::new(), to);
        in_time("a nudge", self.client.send(request).into_future()).await?;
        Ok(())
    }

    /// Changes whenever a verification request, a secret or a message may have arrived.
    #[must_use]
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Waits until the room list has loaded and tells how many rooms the server counts.
    ///
    /// # Errors
    /// When it does not load in time.
    pub async fn rooms_loaded(&self) -> anyhow::Result<u32> {
        let list = self.sync.room_list_service().all_rooms().await?;
        let state = list.loading_state();
        until(&format!("{}: the room list", self.label), state.clone(), async || match state.get() {
            RoomListLoadingState::Loaded { maximum_number_of_rooms } => {
                Ok(maximum_number_of_rooms.unwrap_or(0))
            }
            RoomListLoadingState::NotLoaded => Err("not loaded".to_owned()),
        })
        .await
    }

    /// Waits until this device knows the room, in the state given.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn room(&self, room_id: &RoomId, state: RoomState) -> anyhow::Result<Room> {
        let updates = broadcasts(self.client.room_info_notable_update_receiver());
        until(&format!("{}: {room_id} as {state:?}", self.label), updates, async || {
            match self.client.get_room(room_id) {
                Some(room) if room.state() == state => Ok(room),
                Some(room) => Err(format!("it is {:?}", room.state())),
                None => Err("unknown".to_owned()),
            }
        })
        .await
    }

    /// Opens a joined room: subscribes to it and builds its timeline.
    ///
    /// # Errors
    /// When the room does not show up.
    pub async fn open(&self, room_id: &RoomId) -> anyhow::Result<Chat> {
        let room = self.room(room_id, RoomState::Joined).await?;
        self.sync.room_list_service().subscribe_to_rooms(&[room_id]).await;
        Chat::open(self.label.clone(), &room).await
    }

    /// Waits until this device is signed by its owner and holds the owner's cross-signing keys.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn cross_signed(&self) -> anyhow::Result<()> {
        let encryption = self.client.encryption();
        let state = encryption.verification_state();
        until(&format!("{}: signed by its owner", self.label), state.clone(), async || match state.get() {
            VerificationState::Verified => Ok(()),
            other => Err(format!("it is {other:?}")),
        })
        .await
    }

    /// Waits until this device holds its owner's private cross-signing keys.
    ///
    /// # Errors
    /// When they do not arrive in time.
    pub async fn holds_secrets(&self) -> anyhow::Result<()> {
        let encryption = self.client.encryption();
        let ticks = stream::select(changes(self.arrivals()), encryption.recovery().state_stream().map(drop));
        until(&format!("{}: the cross-signing secrets", self.label), ticks, async || {
            match encryption.cross_signing_status().await {
                Some(status) if status.is_complete() => Ok(()),
                other => Err(format!("it has {other:?}")),
            }
        })
        .await
    }

    /// Waits until this device uses its owner's key backup.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn backs_up(&self) -> anyhow::Result<()> {
        let backups = self.client.encryption().backups();
        until(&format!("{}: key backup in use", self.label), backups.state_stream(), async || {
            if backups.are_enabled().await { Ok(()) } else { Err(format!("it is {:?}", backups.state())) }
        })
        .await
    }

    /// Waits until this device trusts the other person's identity.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn trusts(&self, user: &UserId) -> anyhow::Result<()> {
        let encryption = self.client.encryption();
        let updates = encryption.user_identities_stream().await?;
        let ticks = stream::select(updates.map(drop), now_and_then());
        until(&format!("{}: {user} verified", self.label), ticks, async || {
            match encryption.get_user_identity(user).await.map_err(|error| error.to_string())? {
                Some(identity) if identity.is_verified() => return Ok(()),
                Some(_) => {}
                None => return Err("unknown".to_owned()),
            }
            // The device that verified uploads its signature between two syncs.
            self.nudge().await.map_err(|error| format!("{error:#}"))?;
            Err("known, not verified".to_owned())
        })
        .await
    }
}

/// The password of a user of these tests.
fn password(user: &str) -> String {
    format!("{user} keeps a long secret")
}

async fn build(server: &Server, user: &str, device: &str) -> anyhow::Result<(Client, PathBuf)> {
    let folder = server.folder().join("clients").join(user).join(device);
    std::fs::create_dir_all(&folder)?;
    Ok((client(server, &folder).await?, folder))
}

/// A client as Element X configures it, except that requests are tried again sooner.
async fn client(server: &Server, folder: &std::path::Path) -> anyhow::Result<Client> {
    let settings = EncryptionSettings {
        auto_enable_cross_signing: true,
        backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        auto_enable_backups: true,
    };
    let requests = RequestConfig::new().retry_limit(TRIES).max_retry_time(Duration::from_secs(2));
    let builder = Client::builder()
        .homeserver_url(server.url())
        .sqlite_store(folder, Some("a passphrase"))
        .cross_process_store_config(CrossProcessLockConfig::SingleProcess)
        .sliding_sync_version_builder(VersionBuilder::DiscoverNative)
        .handle_refresh_tokens()
        .with_encryption_settings(settings)
        .request_config(requests);
    builder.build().await.context("building a client")
}

/// What the app does when its sync ends: start it again, and let messages flow once it runs.
async fn keep_syncing(label: String, client: Client, sync: Arc<SyncService>) {
    let mut states = sync.state();
    while let Some(state) = states.next().await {
        match state {
            State::Running => client.send_queue().set_enabled(true).await,
            State::Error(error) => {
                tracing::warn!(%label, ?error, "the sync ended, starting it again");
                sync.start().await;
            }
            State::Idle | State::Terminated | State::Offline => {}
        }
    }
}

/// What the app does when a message could not be sent: try again once the sync runs.
async fn keep_sending(label: String, client: Client, sync: Arc<SyncService>) {
    let mut errors = client.send_queue().subscribe_errors();
    let mut states = sync.state();
    while let Ok(failure) = errors.recv().await {
        tracing::warn!(%label, room = %failure.room_id, error = ?failure.error, "a message was not sent");
        while !matches!(states.get(), State::Running) {
            if states.next().await.is_none() {
                return;
            }
        }
        client.send_queue().set_enabled(true).await;
    }
}

/// Counts what arrives to the device or in a room and may carry a verification request or a secret.
fn count_arrivals(client: &Client, arrivals: &watch::Sender<u64>) {
    let count = arrivals.clone();
    client.add_event_handler(move |_: ToDeviceKeyVerificationRequestEvent| {
        count.send_modify(|arrived| *arrived += 1);
        std::future::ready(())
    });
    let count = arrivals.clone();
    client.add_event_handler(move |_: ToDeviceSecretSendEvent| {
        count.send_modify(|arrived| *arrived += 1);
        std::future::ready(())
    });
    let count = arrivals.clone();
    client.add_event_handler(move |_: OriginalSyncRoomMessageEvent| {
        count.send_modify(|arrived| *arrived += 1);
        std::future::ready(())
    });
}
