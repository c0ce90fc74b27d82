//! A large account as Element X's SDK sees it: a fresh login, what happens while it looks, a killed server, and a long absence.

#![recursion_limit = "256"]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use matrix_sdk::RoomState;
use matrix_sdk::ruma::OwnedRoomId;
use matrix_sdk::ruma::events::room::message::OriginalSyncRoomMessageEvent;
use myelin_clients::chat::body;
use myelin_clients::device::Device;
use myelin_clients::server::Server;
use myelin_clients::wait::{broadcasts, changes, until};
use myelin_clients::{logs, step};
use serde_json::{Value, json};

const ROOMS: usize = 1000;
/// Messages in each room while the device is away: ten thousand in all.
const MISSED: usize = 10;
/// Plain requests at the same time.
const AT_ONCE: usize = 32;

/// A session that speaks plain HTTP.
struct Plain {
    http: reqwest::Client,
    api: String,
    token: String,
}

impl Plain {
    /// The session of an SDK's device, whose app is closed.
    async fn of(server: &Server, device: Device) -> anyhow::Result<Self> {
        let session = device.client.matrix_auth().session().context("no session")?;
        device.close().await?;
        let api = format!("{}/_matrix/client/v3", server.url());
        Ok(Self { http: reqwest::Client::new(), api, token: session.tokens.access_token })
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.api)).bearer_auth(&self.token).json(&body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn make_room(&self, wish: Value) -> anyhow::Result<OwnedRoomId> {
        let made = self.post("/createRoom", wish).await?;
        Ok(made["room_id"].as_str().context("no room id")?.try_into()?)
    }

    async fn say(&self, room_id: &OwnedRoomId, text: &str) -> anyhow::Result<()> {
        let path = format!("/rooms/{room_id}/send/m.room.message");
        self.post(&path, json!({ "msgtype": "m.text", "body": text })).await.map(drop)
    }
}

/// The texts that a device's sync has brought.
struct Heard {
    texts: Arc<Mutex<BTreeSet<String>>>,
    label: String,
    arrivals: tokio::sync::watch::Receiver<u64>,
}

impl Heard {
    fn by(device: &Device) -> Self {
        let texts = Arc::<Mutex<BTreeSet<String>>>::default();
        let heard = Arc::clone(&texts);
        device.client.add_event_handler(move |event: OriginalSyncRoomMessageEvent| {
            heard.lock().unwrap_or_else(PoisonError::into_inner).insert(event.content.body().to_owned());
            std::future::ready(())
        });
        Self { texts, label: device.label.clone(), arrivals: device.arrivals() }
    }

    async fn hears(&self, expected: impl Iterator<Item = String>) -> anyhow::Result<()> {
        let expected: BTreeSet<String> = expected.collect();
        let ticks = stream::select(changes(self.arrivals.clone()), myelin_clients::wait::now_and_then());
        until(&format!("{}: what was said", self.label), ticks, async || {
            let texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
            let missing: Vec<&String> = expected.difference(&texts).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("{} are missing, as {:?}", missing.len(), missing[0]))
            }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_a_thousand_rooms_is_listed_lives_and_comes_back_after_ten_thousand_events()
-> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;
    let dave = Device::register(&server, "dave", "phone").await?;
    let dave = Plain::of(&server, dave).await?;
    let carol = Device::register(&server, "carol", "phone").await?;
    let carol_id = carol.user_id().to_owned();
    let carol = Plain::of(&server, carol).await?;
    let rooms: Vec<OwnedRoomId> = stream::iter(0..ROOMS)
        .map(async |number| {
            let wish = json!({ "name": format!("Room {number}"), "preset": "public_chat" });
            let room_id = dave.make_room(wish).await?;
            carol.post(&format!("/join/{room_id}"), json!({})).await?;
            anyhow::Ok(room_id)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    step("the rooms are made");

    let laptop = Device::log_in(&server, "carol", "laptop").await?;
    let counted = laptop.rooms_loaded().await?;
    ensure!(counted as usize == ROOMS, "the server counts {counted} rooms");
    knows_all(&laptop, &rooms).await?;
    step("a fresh login has listed them");

    let heard = Heard::by(&laptop);
    dave.say(&rooms[ROOMS / 2], "live").await?;
    let invitation = dave.make_room(json!({ "name": "One more", "invite": [carol_id] })).await?;
    heard.hears(std::iter::once("live".to_owned())).await?;
    laptop.room(&invitation, RoomState::Invited).await?;
    server.crash().await?;
    dave.say(&rooms[ROOMS / 3], "after a kill").await?;
    heard.hears(std::iter::once("after a kill".to_owned())).await?;
    step("it lives, before and after a kill");

    let away = laptop.close().await?;
    for round in 0..MISSED {
        let all = stream::iter(rooms.iter().enumerate()).map(Ok);
        let say = async |(number, room_id)| dave.say(room_id, &format!("missed {round} in {number}")).await;
        all.try_for_each_concurrent(AT_ONCE, say).await?;
    }
    server.crash().await?;
    step("ten thousand messages were sent, and the server was killed");
    let laptop = Device::reopen(&server, away).await?;
    let heard = Heard::by(&laptop);
    let last = MISSED - 1;
    heard.hears((0..ROOMS).map(|number| format!("missed {last} in {number}"))).await?;
    step("it has caught up");

    let number = ROOMS / 2;
    let missed = || (0..MISSED).map(|round| format!("missed {round} in {number}"));
    laptop.sync.room_list_service().subscribe_to_rooms(&[&*rooms[number]]).await;
    heard.hears(missed().chain(std::iter::once("live".to_owned()))).await?;
    step("a room of it has grown backwards");

    // On another device: that one's cache of events, which it read from its store, gets into disorder where timelines grow,
    // and the SDK then panics.
    let tablet = Device::log_in(&server, "carol", "tablet").await?;
    let chat = tablet.open(&rooms[number]).await?;
    chat.sees(&format!("missed {last} in {number}")).await?;
    chat.load_history().await?;
    let items = chat.items().await;
    let texts: Vec<_> = items.iter().filter_map(body).map(ToOwned::to_owned).collect();
    let expected: Vec<_> = std::iter::once("live".to_owned()).chain(missed()).collect();
    ensure!(texts == expected, "it shows {texts:#?}");
    dave.say(&rooms[number], "and on").await?;
    chat.sees("and on").await?;
    Ok(())
}

/// Waits until the device has every room with its name.
async fn knows_all(device: &Device, rooms: &[OwnedRoomId]) -> anyhow::Result<()> {
    let updates = broadcasts(device.client.room_info_notable_update_receiver());
    until("every room with its name", updates, async || {
        let is_named = |(number, room_id): &(usize, &OwnedRoomId)| {
            let room = device.client.get_room(room_id);
            room.and_then(|room| room.name()) == Some(format!("Room {number}"))
        };
        let missing = rooms.iter().enumerate().filter(|room| !is_named(room)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) }
    })
    .await
}
