// The SDK's sliding sync: two people, one of them on it with two devices, the other on the older sync, chat encrypted while
// their server is killed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { body } from "../src/chat.js";
import { Device } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { Server } from "../src/server.js";
import { verifyOwn } from "../src/verification.js";
import { need } from "../src/wait.js";

/** Rooms of one of them: more than the list's first window. */
const ROOMS = 45;
/** Messages of each while the server is killed. */
const BURST = 8;

test("two people chat encrypted over sliding sync while the server is killed", { timeout: 300_000 }, async (t) => {
    const place = { server: await Server.start(), logs: logs("js-sliding-sync") };
    const { server } = place;
    const devices = [];
    t.after(async () => {
        for (const device of devices) device.close();
        await server.stop();
    });
    const add = async (device) => devices[devices.push(await device) - 1];
    const sliding = { sliding: true };

    step("they register, and one of them verifies a second device");
    const annPhone = await add(Device.register(place, "ann", "phone", sliding));
    const ben = await add(Device.register(place, "ben", "phone"));
    const annKey = await annPhone.setUpRecovery();
    await ben.setUpRecovery();
    const annLaptop = await add(Device.logIn(place, "ann", "laptop", sliding));
    await verifyOwn(annLaptop, annPhone);

    step("a fresh login lists more rooms than its first window has");
    const rooms = [];
    for (let number = 0; number < ROOMS; number++) {
        rooms.push((await ben.client.createRoom({ name: `Room ${number}` })).room_id);
    }
    const benTablet = await add(Device.logIn(place, "ben", "tablet", sliding));
    await listAll(benTablet, rooms);

    step("one invites the other and they talk");
    const roomId = await ben.makeRoom("The two of us", [annPhone.userId]);
    await annPhone.join(roomId);
    const everywhere = await Promise.all([annPhone, annLaptop, ben, benTablet].map((device) => device.open(roomId)));
    const [phone, laptop, bens] = everywhere;
    for (const chat of everywhere) await chat.say(`this is ${chat.label}`);
    for (const chat of everywhere) {
        for (const other of everywhere) await chat.sees(`this is ${other.label}`);
    }
    await phone.say("helo");
    await phone.edit("helo", "hello");
    for (const chat of everywhere) await chat.seesEdited("hello");
    await bens.react("hello", "👋");
    for (const chat of everywhere) await chat.seesReaction("hello", "👋", ben.userId);
    const regretted = await laptop.say("never mind");
    for (const chat of everywhere) await chat.sees("never mind");
    await laptop.redact(regretted);
    for (const chat of everywhere) await chat.seesRedacted(regretted);

    step("they see each other type and read");
    for (const typing of [true, false]) {
        await ben.client.sendTyping(roomId, typing, 30_000);
        for (const chat of [phone, laptop]) await chat.seesTyping(ben.userId, typing);
    }
    await phone.say("have you read this?");
    await bens.read("have you read this?");
    for (const chat of [phone, laptop]) await chat.seesRead("have you read this?", ben.userId);
    await bens.say("and you this?");
    await laptop.read("and you this?");
    await bens.seesRead("and you this?", annPhone.userId);
    await phone.hasNothingUnread();

    step("all write at once while the server is killed");
    const sending = everywhere.map(async (chat) => {
        for (let number = 0; number < BURST; number++) await chat.say(`${chat.label} says ${number}`);
    });
    await phone.finds(`${phone.label} says 1`);
    await server.crash();
    await Promise.all(sending);
    for (const chat of everywhere) {
        for (const other of everywhere) await chat.finds(`${other.label} says ${BURST - 1}`);
    }

    step("a new device restores the backup, and everybody shows the same, decrypted");
    const keys = new Set(phone.events().map((event) => event.getWireContent().session_id).filter(Boolean)).size;
    await annPhone.hasBackedUp(keys);
    const tablet = await add(Device.logIn(place, "ann", "tablet", sliding));
    const { total, imported } = await tablet.recover(annKey);
    assert.ok(total >= keys && imported === total, `${imported} of ${total} keys, ${keys} are needed`);
    const chats = [...everywhere, await tablet.open(roomId)];
    const shown = [];
    for (const chat of chats) {
        await chat.loadHistory();
        const texts = (await chat.showsAllDecrypted()).map(body).filter(Boolean);
        assert.equal(new Set(texts).size, texts.length, `${chat.label}: a message twice in ${texts.join("\n")}`);
        shown.push([chat.label, texts.toSorted()]);
    }
    for (const [label, texts] of shown) assert.deepEqual(texts, shown[0][1], `${label} shows other messages`);
});

/** Widens the window until every room is there, as Element Web does in the background. */
async function listAll(device, rooms) {
    for (let end = 19; ; end += 20) {
        device.sliding.setListRanges("all", [[0, end]]);
        const count = device.sliding.getListData("all").joinedCount;
        assert.equal(count, rooms.length, `${device.label}: the server counts other rooms`);
        const known = Math.min(end + 1, count);
        await device.until(`${known} rooms`, () => {
            const names = rooms.filter((roomId) => device.client.getRoom(roomId)?.name.startsWith("Room "));
            need(names.length >= known, `there are ${names.length}`);
        });
        if (known === count) return;
    }
}
