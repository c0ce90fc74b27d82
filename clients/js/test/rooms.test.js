// The room list of a fresh login, with members loaded when they are needed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Device } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { Server } from "../src/server.js";
import { inTime, need } from "../src/wait.js";

/** Rooms of the account that logs in afresh. */
const ROOMS = 60;
/** Members of the room whose members are loaded lazily. */
const CROWD = 8;
/** Messages that one of them writes; more than the first sync brings. */
const CHATTER = 25;

test("a fresh login lists every room and loads members when they are needed", { timeout: 180_000 }, async (t) => {
    const place = { server: await Server.start(), logs: logs("js-rooms") };
    const { server } = place;
    const devices = [];
    t.after(async () => {
        for (const device of devices) device.close();
        await server.stop();
    });

    step("a crowd gathers, and one of it makes rooms");
    for (let number = 0; number < CROWD; number++) {
        const device = await Device.register(place, `user${number}`, "phone");
        devices.push(device);
        await device.client.setDisplayName(`Person ${number}`);
    }
    const [phone, ...others] = devices;
    const quiet = others.at(-1);
    const { room_id: crowded } = await phone.client.createRoom({ preset: "public_chat", topic: "everybody" });
    for (const device of others) await inTime("joining", device.client.joinRoom(crowded));
    for (let number = 0; number < CHATTER; number++) {
        await phone.client.sendTextMessage(crowded, `chatter ${number}`);
    }
    const rooms = new Map();
    for (let number = 0; number < ROOMS; number++) {
        const name = `Room ${number}`;
        rooms.set((await phone.client.createRoom({ name })).room_id, name);
    }
    const [left] = rooms.keys();

    step("it logs in afresh");
    const laptop = await Device.logIn(place, "user0", "laptop");
    devices.push(laptop);
    for (const [roomId, name] of rooms) assert.equal(laptop.client.getRoom(roomId)?.name, name);
    assert.equal(laptop.client.getRooms().length, ROOMS + 1);
    const room = laptop.client.getRoom(crowded);
    assert.equal(room.getJoinedMemberCount(), CROWD);
    assert.equal(room.name, `Person 1 and ${CROWD - 2} others`, "a name made of the heroes");
    assert.equal(room.getMember(quiet.userId), null, "a member was sent who is not in the timeline");

    step("who speaks is known, and the rest when asked for");
    await quiet.client.sendTextMessage(crowded, "I was quiet until now");
    const member = await laptop.until("the speaker", () => need(room.getMember(quiet.userId), "unknown"));
    assert.equal(member.membership, "join");
    assert.equal(member.name, `Person ${CROWD - 1}`);
    await inTime("loading the members", room.loadMembersIfNeeded());
    assert.equal(room.getJoinedMembers().length, CROWD);

    step("what is unread is counted by thread, and what one device reads is read on the other");
    await unreadByThread(quiet, phone, laptop, crowded);

    step("what changes on one device shows on the other, over a kill");
    await phone.client.setRoomName([...rooms.keys()][1], "Another name");
    await phone.client.setRoomTag(crowded, "m.favourite", { order: 0.5 });
    await phone.client.leave(left);
    await server.crash();
    const gone = () => laptop.client.getRoom(left).getMyMembership() === "leave";
    await laptop.until("the room that was left", () => need(gone(), "still joined"));
    await laptop.until("the new name", () => need(laptop.client.getRoom([...rooms.keys()][1]).name === "Another name"));
    await laptop.until("the tag", () => need(room.tags["m.favourite"]?.order === 0.5, JSON.stringify(room.tags)));
});

/** A thread of one person's, read on one device of another's while their other device looks at the counts. */
async function unreadByThread(writer, reader, watcher, roomId) {
    // Without the SDK's local echo: where sync tells of a message in a thread before the request that sent it is answered,
    // the SDK sends it again for half a minute and then calls it lost. What is tested here is the reader's counts.
    let sent = 0;
    const send = async (body, thread = null) => {
        const relation = thread && { "m.relates_to": { rel_type: "m.thread", event_id: thread } };
        const path = `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/counted${sent++}`;
        const content = { msgtype: "m.text", body, ...relation };
        return (await inTime("sending", writer.client.http.authedRequest("PUT", path, undefined, content))).event_id;
    };
    const room = watcher.client.getRoom(roomId);
    const counts = (main, thread) =>
        watcher.until(`${main} unread in the room and ${thread} in its thread`, () => {
            const now = [room.getRoomUnreadNotificationCount("total"), room.getThreadUnreadNotificationCount(root)];
            need(now[0] === main && now[1] === thread, () => `they are ${now}`);
        });
    const read = async (id) => {
        const event = await reader.until("the event", () => need(reader.client.getRoom(roomId).findEventById(id), "none"));
        await inTime("a receipt", reader.client.sendReadReceipt(event));
    };
    const root = await send("a thread begins");
    let last;
    for (let number = 0; number < 3; number++) last = await send(`thread ${number}`, root);
    // Besides the root, the room has the one message with which the writer ended their silence.
    await counts(2, 3);
    await read(last);
    await counts(2, 0);
    await read(root);
    await counts(0, 0);
}
