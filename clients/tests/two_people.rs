//! Two people with two devices each, then three, chat end-to-end encrypted while their server is killed under them again
//! and again. They use the SDK of Element X the way Element X does.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset};
use matrix_sdk::ruma::events::InitialStateEvent;
use matrix_sdk::ruma::events::room::encryption::RoomEncryptionEventContent;
use matrix_sdk::ruma::{OwnedRoomId, RoomVersionId, UserId};
use matrix_sdk::{Room, RoomState};
use myelin_clients::chat::{Chat, body};
use myelin_clients::device::Device;
use myelin_clients::server::Server;
use myelin_clients::wait::{broadcasts, in_time, until};
use myelin_clients::{logs, step, verification};

/// Messages that each device sends while the server is killed.
const BURST: usize = 12;
/// How often it is killed meanwhile.
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_encrypted_on_two_devices_each_while_the_server_is_killed() -> anyhow::Result<()> {
    logs();
    let mut server = Server::start().await?;

    step("they register, and log in on a second device each");
    let alice_phone = Device::register(&server, "alice", "phone").await?;
    let bob_phone = Device::register(&server, "bob", "phone").await?;
    server.crash().await?;
    let alice_laptop = Device::log_in(&server, "alice", "laptop").await?;
    let bob_laptop = Device::log_in(&server, "bob", "laptop").await?;

    step("they set up recovery");
    let alice_key = set_up_recovery(&alice_phone).await?;
    set_up_recovery(&bob_phone).await?;
    server.crash().await?;

    step("they verify their own devices");
    verify_own(&alice_laptop, &alice_phone).await?;
    verify_own(&bob_laptop, &bob_phone).await?;

    step("alice makes a room and bob joins");
    let room_id = make_room(&alice_phone, bob_phone.user_id()).await?;
    server.crash().await?;
    in_time("joining", bob_phone.room(&room_id, RoomState::Invited).await?.join()).await?;
    server.crash().await?;
    let alice = Pair { phone: alice_phone.open(&room_id).await?, laptop: alice_laptop.open(&room_id).await? };
    let bob = Pair { phone: bob_phone.open(&room_id).await?, laptop: bob_laptop.open(&room_id).await? };
    let everywhere = [&alice.phone, &alice.laptop, &bob.phone, &bob.laptop];
    for chat in everywhere {
        is_encrypted_version_12(&chat.room).await?;
        has_members(&chat.room, 2).await?;
    }

    step("they write, edit, react, reply and redact");
    converse(&mut server, &alice, &bob, alice_phone.user_id(), bob_phone.user_id()).await?;

    step("they verify each other");
    let request = verification::ask(&alice_phone, bob_phone.user_id()).await?;
    let compared = verification::show_emoji(&alice_phone, &request, &bob_phone).await?;
    server.crash().await?;
    verification::confirm(compared).await?;
    for (device, other) in [
        (&alice_phone, &bob_phone),
        (&alice_laptop, &bob_phone),
        (&bob_phone, &alice_phone),
        (&bob_laptop, &alice_phone),
    ] {
        device.trusts(other.user_id()).await?;
    }

    step("they send images");
    let (picture, thumbnail) = (noise(300_000, 1), noise(9_000, 2));
    alice.laptop.send_image("sunset.png", picture.clone(), thumbnail.clone()).await?;
    server.crash().await?;
    for chat in everywhere {
        let (file, small) = chat.image("sunset.png").await?;
        ensure!(file == picture && small == thumbnail, "{}: another image than was sent", chat.label);
    }

    step("they see each other type and read");
    types(&bob.laptop, &[&alice.phone, &alice.laptop], bob_phone.user_id()).await?;
    reads(&bob, &[&alice.phone, &alice.laptop], &alice.laptop, bob_phone.user_id()).await?;

    step("all four write at once while the server is killed");
    burst(&mut server, &everywhere).await?;

    step("a new device restores the backup and reads everything");
    for device in [&alice_phone, &alice_laptop, &bob_phone] {
        let backups = device.client.encryption().backups();
        in_time("keys backed up", async { backups.wait_for_steady_state().await }).await?;
    }
    let tablet = Device::log_in(&server, "alice", "tablet").await?;
    server.crash().await?;
    in_time("recovery", tablet.client.encryption().recovery().recover(&alice_key)).await?;
    tablet.cross_signed().await?;
    tablet.backs_up().await?;
    let on_tablet = tablet.open(&room_id).await?;
    let (history, killed) = tokio::join!(on_tablet.load_history(), server.crash());
    history.and(killed)?;
    drop(on_tablet);
    let tablet = Device::reopen(&server, tablet.close().await?).await?;
    let on_tablet = tablet.open(&room_id).await?;
    on_tablet.load_history().await?;
    on_tablet.shows_all_decrypted().await?;
    let (file, small) = on_tablet.image("sunset.png").await?;
    ensure!(file == picture && small == thumbnail, "{}: another image than was sent", on_tablet.label);

    step("a new device verified by another gets the backup's key from it");
    let bob_tablet = Device::log_in(&server, "bob", "tablet").await?;
    verify_own(&bob_tablet, &bob_phone).await?;
    let on_bobs_tablet = bob_tablet.open(&room_id).await?;
    on_bobs_tablet.load_history().await?;

    step("what the new device writes is read everywhere");
    on_tablet.say("hello from the tablet").await?;
    let all = [&alice.phone, &alice.laptop, &bob.phone, &bob.laptop, &on_tablet, &on_bobs_tablet];
    for chat in all {
        chat.sees("hello from the tablet").await?;
    }

    step("started again, every app shows the same, and everything is decrypted");
    drop((alice, bob, on_tablet, on_bobs_tablet));
    let mut devices = Vec::new();
    for device in [alice_phone, alice_laptop, tablet, bob_phone, bob_laptop, bob_tablet] {
        devices.push(Device::reopen(&server, device.close().await?).await?);
    }
    all_show_the_same(&try_join_all(devices.iter().map(|device| device.open(&room_id))).await?).await
}

/// Somebody's room on both devices.
struct Pair {
    phone: Chat,
    laptop: Chat,
}

async fn set_up_recovery(device: &Device) -> anyhow::Result<String> {
    device.cross_signed().await?;
    device.backs_up().await?;
    let recovery = device.client.encryption().recovery();
    in_time("recovery set up", async { recovery.enable().wait_for_backups_to_upload().await }).await
}

/// A new device asks an old one of the same person to verify it, and gets the secrets from it.
async fn verify_own(new: &Device, old: &Device) -> anyhow::Result<()> {
    let request = verification::ask_own(new).await?;
    let compared = verification::show_emoji(new, &request, old).await?;
    verification::confirm(compared).await?;
    new.cross_signed().await?;
    new.holds_secrets().await?;
    new.backs_up().await
}

async fn make_room(device: &Device, invited: &UserId) -> anyhow::Result<OwnedRoomId> {
    let mut request = CreateRoom::new();
    request.room_version = Some(RoomVersionId::V12);
    request.preset = Some(RoomPreset::TrustedPrivateChat);
    request.is_direct = true;
    request.invite = vec![invited.to_owned()];
    request.name = Some("The two of us".to_owned());
    let encryption = RoomEncryptionEventContent::with_recommended_defaults();
    request.initial_state = vec![InitialStateEvent::with_empty_state_key(encryption).to_raw_any()];
    let room = in_time("making a room", device.client.create_room(request)).await?;
    Ok(room.room_id().to_owned())
}

async fn is_encrypted_version_12(room: &Room) -> anyhow::Result<()> {
    ensure!(room.latest_encryption_state().await?.is_encrypted(), "the room is not encrypted");
    let updates = broadcasts(room.client().room_info_notable_update_receiver());
    until("the room's version", updates, async || match room.version() {
        Some(RoomVersionId::V12) => Ok(()),
        other => Err(format!("it is {other:?}")),
    })
    .await
}

async fn has_members(room: &Room, joined: u64) -> anyhow::Result<()> {
    let updates = broadcasts(room.client().room_info_notable_update_receiver());
    until(&format!("{joined} members in the room"), updates, async || match room.joined_members_count() {
        count if count == joined => Ok(()),
        count => Err(format!("there are {count}")),
    })
    .await
}

async fn converse(
    server: &mut Server,
    alice: &Pair,
    bob: &Pair,
    alice_id: &UserId,
    bob_id: &UserId,
) -> anyhow::Result<()> {
    let everywhere = [&alice.phone, &alice.laptop, &bob.phone, &bob.laptop];
    for chat in everywhere {
        chat.say(&format!("this is {}", chat.label)).await?;
    }
    for chat in everywhere {
        for other in everywhere {
            chat.sees(&format!("this is {}", other.label)).await?;
        }
    }

    alice.phone.say("helo").await?;
    alice.phone.sees("helo").await?;
    server.crash().await?;
    alice.phone.edit("helo", "hello").await?;
    for chat in everywhere {
        chat.sees_edited("hello").await?;
    }

    bob.phone.react("hello", "👋").await?;
    server.crash().await?;
    bob.laptop.react("this is alice's phone", "🎉").await?;
    for chat in everywhere {
        chat.sees_reaction("hello", "👋", bob_id).await?;
        chat.sees_reaction("this is alice's phone", "🎉", bob_id).await?;
    }
    bob.phone.react("hello", "👋").await?;
    for chat in everywhere {
        chat.sees_no_reaction("hello", "👋").await?;
    }

    let question = bob.laptop.event_id("hello").await?;
    bob.laptop.reply("hello", "hello yourself").await?;
    server.crash().await?;
    for chat in everywhere {
        chat.sees_reply("hello yourself", &question).await?;
    }
    alice.laptop.react("hello yourself", "❤").await?;
    for chat in everywhere {
        chat.sees_reaction("hello yourself", "❤", alice_id).await?;
    }

    alice.laptop.say("never mind").await?;
    let regretted = alice.laptop.event_id("never mind").await?;
    bob.phone.sees("never mind").await?;
    alice.laptop.redact("never mind").await?;
    for chat in everywhere {
        chat.sees_redacted(&regretted).await?;
    }
    Ok(())
}

/// Typing shows with the others, and ends.
async fn types(typist: &Chat, others: &[&Chat], user: &UserId) -> anyhow::Result<()> {
    let mut watched = Vec::new();
    for chat in others {
        watched.push((chat, chat.room.subscribe_to_typing_notifications()));
    }
    for typing in [true, false] {
        in_time("a typing notice", typist.room.typing_notice(typing)).await?;
        for (chat, (_, receiver)) in &mut watched {
            let what = format!("{}: typing is {typing}", chat.label);
            in_time(&what, async {
                while receiver.recv().await?.iter().any(|who| who == user) != typing {}
                anyhow::Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// Reading on one device shows with the others, and clears the count on the reader's other device.
async fn reads(reader: &Pair, others: &[&Chat], writer: &Chat, user: &UserId) -> anyhow::Result<()> {
    writer.say("have you read this?").await?;
    reader.phone.sees("have you read this?").await?;
    reader.laptop.sees("have you read this?").await?;
    in_time("a receipt", reader.phone.timeline().mark_as_read(ReceiptType::Read)).await?;
    for chat in others {
        chat.sees_read("have you read this?", user).await?;
    }
    let room = &reader.laptop.room;
    let updates = broadcasts(room.client().room_info_notable_update_receiver());
    until("nothing unread on the reader's other device", updates, async || {
        let counts = (room.num_unread_messages(), room.unread_notification_counts().notification_count);
        if counts == (0, 0) { Ok(()) } else { Err(format!("its own and the server's count are {counts:?}")) }
    })
    .await
}

/// Every device sends its messages; each time some more have been acknowledged, the server is killed. What arrived is
/// compared when the apps were started again: the SDK decrypts late events in its store, but a timeline that is open and
/// gets many events at once loses some of these updates (it logs "Set update dropped").
async fn burst(server: &mut Server, everywhere: &[&Chat]) -> anyhow::Result<()> {
    let text = |chat: &Chat, number: usize| format!("{} says {number}", chat.label);
    let sending = try_join_all(everywhere.iter().map(async |chat| {
        for number in 0..BURST {
            chat.say(&text(chat, number)).await?;
        }
        anyhow::Ok(())
    }));
    let first = everywhere.first().context("nobody")?;
    let killing = async {
        for kill in 0..KILLS {
            let due = kill * BURST / KILLS;
            first.finds(&text(first, due)).await?;
            server.crash().await?;
        }
        anyhow::Ok(())
    };
    let (sent, killed) = tokio::join!(sending, killing);
    sent?;
    killed?;
    for chat in everywhere {
        chat.has_sent().await?;
    }
    Ok(())
}

/// No device misses an event, has one twice, lacks a key, or orders those of the others otherwise than they do. What it
/// sent itself the SDK puts where the answer came, and an answer that a kill took away comes later than the event.
async fn all_show_the_same(chats: &[Chat]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for chat in chats {
        chat.load_history().await?;
        let items = chat.shows_all_decrypted().await?;
        let texts: Vec<_> = items.iter().filter_map(body).map(ToOwned::to_owned).collect();
        let distinct: BTreeSet<_> = texts.iter().cloned().collect();
        ensure!(distinct.len() == texts.len(), "{}: a message twice in {texts:#?}", chat.label);
        all.push((&chat.label, texts, distinct));
    }
    for (one, texts, distinct) in &all {
        for (other, others_texts, others_distinct) in &all {
            let missing: Vec<_> = others_distinct.difference(distinct).collect();
            ensure!(missing.is_empty(), "{one} misses what {other} has: {missing:#?}; it shows {texts:#?}");
            let of_others = |texts: &[String]| {
                let own =
                    |text: &&String| [one, other].iter().any(|label| text.contains(&format!("{label} says")));
                texts.iter().filter(|text| !own(text)).cloned().collect::<Vec<_>>()
            };
            let (texts, others_texts) = (of_others(texts), of_others(others_texts));
            ensure!(texts == others_texts, "{one}: {texts:#?}\nbut {other}: {others_texts:#?}");
        }
    }
    Ok(())
}

/// Bytes that do not compress, the same for the same seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
