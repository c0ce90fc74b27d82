//! Smaller behaviours of clients: a fresh login, an absence, and a message whose answer was lost.

use anyhow::ensure;
use matrix_sdk::RoomState;
use matrix_sdk::ruma::OwnedRoomId;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset};
use matrix_sdk::ruma::events::InitialStateEvent;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use myelin_clients::chat::body;
use myelin_clients::device::Device;
use myelin_clients::server::Server;
use myelin_clients::wait::{broadcasts, in_time, until};
use myelin_clients::{logs, step};

/// Rooms of the account that logs in afresh; more than two pages of the room list.
const ROOMS: usize = 230;
/// Messages that arrive while a device is away; more than the timeline of a sync holds.
const MISSED: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_login_lists_every_one_of_many_rooms() -> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;
    let phone = Device::register(&server, "carol", "phone").await?;
    let mut rooms: Vec<OwnedRoomId> = Vec::new();
    for number in 0..ROOMS {
        let mut request = CreateRoom::new();
        request.name = Some(format!("Room {number}"));
        let room = in_time("making a room", phone.client.create_room(request)).await?;
        rooms.push(room.room_id().to_owned());
    }
    step("the rooms are made");

    let laptop = Device::log_in(&server, "carol", "laptop").await?;
    let counted = laptop.rooms_loaded().await?;
    ensure!(counted as usize == ROOMS, "the server counts {counted} rooms");
    server.crash().await?;
    let updates = broadcasts(laptop.client.room_info_notable_update_receiver());
    until("every room with its name", updates, async || {
        let missing: Vec<_> = rooms
            .iter()
            .enumerate()
            .filter(|(number, room_id)| {
                let room = laptop.client.get_room(room_id);
                room.and_then(|room| room.name()) != Some(format!("Room {number}"))
            })
            .map(|(number, _)| number)
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing {missing:?}")) }
    })
    .await?;
    step("a fresh login has listed them");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_away_catches_up_without_a_gap() -> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;
    let (dora, erik, room_id) = encrypted_pair(&server, "dora", "erik").await?;
    let here = dora.open(&room_id).await?;
    let there = erik.open(&room_id).await?;
    here.say("before").await?;
    there.sees("before").await?;

    drop(there);
    let closed = erik.close().await?;
    for number in 0..MISSED {
        here.say(&format!("missed {number}")).await?;
    }
    here.sees(&format!("missed {}", MISSED - 1)).await?;
    server.crash().await?;

    let erik = Device::reopen(&server, closed).await?;
    let there = erik.open(&room_id).await?;
    there.sees(&format!("missed {}", MISSED - 1)).await?;
    there.load_history().await?;
    let items = there.shows_all_decrypted().await?;
    let texts: Vec<_> = items.iter().filter_map(body).map(ToOwned::to_owned).collect();
    let expected: Vec<_> = std::iter::once("before".to_owned())
        .chain((0..MISSED).map(|number| format!("missed {number}")))
        .collect();
    ensure!(texts == expected, "it shows {texts:#?}");
    there.say("I am back").await?;
    here.sees("I am back").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_again_after_a_kill_is_one_event() -> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;
    let (fay, gus, room_id) = encrypted_pair(&server, "fay", "gus").await?;
    let here = fay.open(&room_id).await?;
    let there = gus.open(&room_id).await?;
    here.say("ready").await?;
    there.sees("ready").await?;
    for round in 0..10 {
        // The kill hits the request before, in or after its commit; the queue then sends it again.
        let text = format!("round {round}");
        let (said, killed) = tokio::join!(here.say(&text), server.crash());
        said.and(killed)?;
    }
    here.sees("round 9").await?;
    // Until then the sender's timeline may show a message twice: as what waits in the queue, and as what came back.
    here.has_sent().await?;
    for chat in [&here, &there] {
        chat.sees("round 9").await?;
        chat.load_history().await?;
        let items = chat.shows_all_decrypted().await?;
        // The SDK sometimes shows one event twice after so many restarts; a message that was sent twice has two ids.
        let mut ids = std::collections::BTreeSet::new();
        let once = items.iter().filter(|item| ids.insert(item.event_id()));
        let texts: Vec<_> = once.filter_map(body).map(ToOwned::to_owned).collect();
        let expected: Vec<_> = std::iter::once("ready".to_owned())
            .chain((0..10).map(|round| format!("round {round}")))
            .collect();
        ensure!(texts == expected, "{}: it shows {texts:#?}", chat.label);
    }
    Ok(())
}

/// Two people with a device each in an encrypted room.
async fn encrypted_pair(
    server: &Server,
    one: &str,
    other: &str,
) -> anyhow::Result<(Device, Device, OwnedRoomId)> {
    let one = Device::register(server, one, "phone").await?;
    let other = Device::register(server, other, "phone").await?;
    let mut request = CreateRoom::new();
    request.preset = Some(RoomPreset::PrivateChat);
    request.invite = vec![other.user_id().to_owned()];
    let encryption = RoomEncryptionEventContent::with_recommended_defaults();
    request.initial_state = vec![InitialStateEvent::with_empty_state_key(encryption).to_raw_any()];
    let room_id = in_time("making a room", one.client.create_room(request)).await?.room_id().to_owned();
    in_time("joining", other.room(&room_id, RoomState::Invited).await?.join()).await?;
    Ok((one, other, room_id))
}
