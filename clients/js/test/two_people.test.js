// Two people with two devices each, then three, chat end-to-end encrypted while their server is killed under them again
// and again. They use the SDK of Element Web the way Element Web does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { body } from "../src/chat.js";
import { Device } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { noise } from "../src/noise.js";
import { Server } from "../src/server.js";
import { verifyOther, verifyOwn } from "../src/verification.js";
import { need } from "../src/wait.js";

/** Messages that each device sends while the server is killed. */
const BURST = 10;
/** How often it is killed meanwhile. */
const KILLS = 4;

test("two people chat encrypted on two devices each while the server is killed", { timeout: 400_000 }, async (t) => {
    const place = { server: await Server.start(), logs: logs("js-two-people") };
    const { server } = place;
    const devices = [];
    t.after(async () => {
        for (const device of devices) device.close();
        await server.stop();
    });
    const add = async (device) => devices[devices.push(await device) - 1];

    step("they register, and log in on a second device each");
    const alicePhone = await add(Device.register(place, "alice", "phone"));
    const bobPhone = await add(Device.register(place, "bob", "phone"));
    await server.crash();
    const aliceLaptop = await add(Device.logIn(place, "alice", "laptop"));
    const bobLaptop = await add(Device.logIn(place, "bob", "laptop"));
    const [alice, bob] = [alicePhone.userId, bobPhone.userId];

    step("they set up cross-signing, secret storage and key backup");
    const aliceKey = await alicePhone.setUpRecovery();
    await bobPhone.setUpRecovery();

    step("they verify their own devices");
    await verifyOwn(aliceLaptop, alicePhone);
    await verifyOwn(bobLaptop, bobPhone);

    step("alice makes a room and bob joins");
    const roomId = await alicePhone.makeRoom("The two of us", [bob]);
    await bobPhone.join(roomId);
    const [a1, b1, a2, b2] = await Promise.all(devices.map((device) => device.open(roomId)));
    const everywhere = [a1, a2, b1, b2];
    for (const chat of everywhere) {
        await chat.device.until("two members", () => need(chat.room.getJoinedMemberCount() === 2, "there are not"));
    }

    step("they write, edit, react, reply and redact");
    for (const chat of everywhere) await chat.say(`this is ${chat.label}`);
    for (const chat of everywhere) {
        for (const other of everywhere) await chat.sees(`this is ${other.label}`);
    }
    await a1.say("helo");
    await a1.edit("helo", "hello");
    for (const chat of everywhere) await chat.seesEdited("hello");
    const wave = await b1.react("hello", "👋");
    await b2.react("this is alice's phone", "🎉");
    for (const chat of everywhere) {
        await chat.seesReaction("hello", "👋", bob);
        await chat.seesReaction("this is alice's phone", "🎉", bob);
    }
    await b1.redact(wave);
    for (const chat of everywhere) await chat.seesReaction("hello", "👋", bob, false);
    const question = (await b2.sees("hello")).getId();
    await b2.reply("hello", "hello yourself");
    for (const chat of everywhere) await chat.seesReply("hello yourself", question);
    const regretted = await a2.say("never mind");
    for (const chat of everywhere) await chat.sees("never mind");
    await a2.redact(regretted);
    for (const chat of everywhere) await chat.seesRedacted(regretted);

    step("they talk in a thread");
    await talkInAThread(everywhere);

    step("they verify each other, and the server is killed while they compare");
    await verifyOther(alicePhone, bobPhone, roomId, () => server.crash());
    for (const device of devices) await device.trusts(device.userId === alice ? bob : alice);

    step("they send images");
    const [picture, thumbnail] = [noise(300_000, 1), noise(9_000, 2)];
    await a2.sendImage("sunset.png", picture, thumbnail);
    for (const chat of everywhere) assert.deepEqual(await chat.image("sunset.png"), { bytes: picture, thumbnail });

    step("they see each other type and read");
    for (const typing of [true, false]) {
        await bobLaptop.client.sendTyping(roomId, typing, 30_000);
        for (const chat of [a1, a2]) await chat.seesTyping(bob, typing);
    }
    await a2.say("have you read this?");
    for (const chat of [b1, b2]) await chat.sees("have you read this?");
    await b1.read("have you read this?");
    for (const chat of [a1, a2]) await chat.seesRead("have you read this?", bob);
    await b2.hasNothingUnread();

    step("all four write at once while the server is killed");
    await burst(server, everywhere);

    step("a new device restores the backup and reads everything");
    const keys = new Set(a1.events().map((event) => event.getWireContent().session_id).filter(Boolean)).size;
    await alicePhone.hasBackedUp(keys);
    const tablet = await add(Device.logIn(place, "alice", "tablet"));
    const { total, imported } = await tablet.recover(aliceKey);
    assert.ok(keys >= 4 && total >= keys && imported === total, `${imported} of ${total} keys, ${keys} are needed`);
    const onTablet = await tablet.open(roomId);
    await Promise.all([onTablet.loadHistory(), server.crash()]);
    await onTablet.showsAllDecrypted();
    assert.deepEqual(await onTablet.image("sunset.png"), { bytes: picture, thumbnail });

    step("what the new device writes is read everywhere, and everything is decrypted");
    await onTablet.say("hello from the tablet");
    await allShowTheSame([...everywhere, onTablet]);
});

/** A thread of messages from everyone, whose unread count goes when it was read. */
async function talkInAThread(everywhere) {
    const [starter, , reader, readersOther] = everywhere;
    const root = await starter.say("let us start a thread");
    for (const chat of everywhere) await chat.sees("let us start a thread");
    for (const chat of everywhere) await chat.say(`${chat.label} in the thread`, root);
    const inThread = (chat) => () => chat.inThread(root);
    for (const chat of everywhere) {
        for (const other of everywhere) await chat.sees(`${other.label} in the thread`, inThread(chat));
        const strays = chat.main().filter((event) => body(event)?.endsWith("in the thread"));
        assert.equal(strays.length, 0, `${chat.label}: messages of the thread outside it`);
    }
    // The SDK counts an event twice that comes by sync while it asks for the root, so the server's own count is looked at.
    const { unsigned } = await starter.client.fetchRoomEvent(starter.id, root);
    assert.equal(unsigned["m.relations"]["m.thread"].count, everywhere.length, "replies in the thread");
    await starter.say("one more", root);
    const more = await reader.sees("one more", inThread(reader));
    await reader.client.sendReadReceipt(more);
    await starter.device.until("the thread read", () =>
        need(starter.room.getThread(root).hasUserReadEvent(reader.device.userId, more.getId()), "it is not"),
    );
    await readersOther.device.until("nothing unread in the thread", () => {
        const count = readersOther.room.getThreadUnreadNotificationCount(root);
        need(count === 0, `there are ${count}`);
    });
}

/** Every device sends its messages; each time some more have arrived, the server is killed. */
async function burst(server, everywhere) {
    const text = (chat, number) => `${chat.label} says ${number}`;
    const sending = everywhere.map(async (chat) => {
        for (let number = 0; number < BURST; number++) await chat.say(text(chat, number));
    });
    const killing = async () => {
        for (let kill = 0; kill < KILLS; kill++) {
            await everywhere[0].finds(text(everywhere[0], Math.floor((kill * BURST) / KILLS)));
            await server.crash();
        }
    };
    await Promise.all([...sending, killing()]);
}

/** No device misses an event, has one twice, lacks a key, or shows another order than the others. */
async function allShowTheSame(chats) {
    for (const chat of chats) await chat.finds("hello from the tablet");
    for (const chat of chats) await chat.loadHistory();
    const shown = [];
    for (const chat of chats) {
        const events = await chat.showsAllDecrypted();
        const texts = events.map(body).filter(Boolean);
        assert.equal(new Set(texts).size, texts.length, `${chat.label}: a message twice in ${texts.join("\n")}`);
        shown.push({ label: chat.label, texts, main: chat.main().map(body).filter(Boolean) });
    }
    for (const { label, texts, main } of shown) {
        assert.deepEqual(texts.toSorted(), shown[0].texts.toSorted(), `${label} shows other messages`);
        assert.deepEqual(main, shown[0].main, `${label} shows another order`);
    }
}
