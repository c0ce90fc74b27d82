// Who takes part in a call (MSC4143) by sticky events (MSC4354), as the SDK sends and keeps them: known to whoever comes late,
// over both forms of sync, and over a kill of the server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Device } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { Server } from "../src/server.js";
import { inTime, need } from "../src/wait.js";

const MEMBER = "org.matrix.msc4143.rtc.member";
/** How long a membership lasts, in milliseconds. */
const LASTING = 600_000;
/** How long after its sender was last heard of it ends. */
const DELAY = 3_000;
/** Messages after it: more than the first sync brings. */
const CHATTER = 25;
/** Rooms in which something happened later: more than the list's first window. */
const ROOMS = 22;

test("who takes part in a call is known to those who come late", { timeout: 300_000 }, async (t) => {
    const place = { server: await Server.start(), logs: logs("js-sticky") };
    const { server } = place;
    const devices = [];
    t.after(async () => {
        for (const device of devices) device.close();
        await server.stop();
    });
    const add = async (device) => devices[devices.push(await device) - 1];
    const ann = await add(Device.register(place, "ann", "phone"));
    const ben = await add(Device.register(place, "ben", "phone", { sliding: true }));

    step("one takes part, and says so by a sticky event; many messages follow");
    const { room_id: call } = await ann.client.createRoom({ preset: "public_chat", name: "The call" });
    const member = { msc4354_sticky_key: "phone", application: { type: "m.call" }, slot_id: "m.call#ROOM" };
    const { event_id: joined } = await ann.client._unstable_sendStickyEvent(call, LASTING, null, MEMBER, member);
    for (let number = 0; number < CHATTER; number++) await ann.client.sendTextMessage(call, `chatter ${number}`);

    step("another comes in over sliding sync");
    await ben.client.joinRoom(call);
    await takesPart(ben, call, ann.userId, joined);
    for (let number = 0; number < ROOMS; number++) await ben.client.createRoom({ name: `Room ${number}` });

    step("they log in afresh over both, on one with the room beyond its first window");
    await takesPart(await add(Device.logIn(place, "ben", "tablet")), call, ann.userId, joined);
    const laptop = await add(Device.logIn(place, "ben", "laptop", { sliding: true }));
    assert.equal(laptop.client.getRoom(call), null, "the room is in the first window");
    laptop.sliding.setListRanges("all", [[0, ROOMS + 5]]);
    await takesPart(laptop, call, ann.userId, joined);

    step("the server is killed, and one more logs in");
    await server.crash();
    await takesPart(await add(Device.logIn(place, "ann", "desktop")), call, ann.userId, joined);

    step("one is not heard of any more, and is gone by a delayed event that is as sticky");
    const gone = { msc4354_sticky_key: "phone" };
    await inTime(
        "the delayed event",
        ann.client._unstable_sendStickyDelayedEvent(call, LASTING, { delay: DELAY }, null, MEMBER, gone),
    );
    for (const device of devices) {
        await device.until("the leaving", () => need(!known(device, call, ann.userId)?.getContent().slot_id, "still there"));
    }
});

function known(device, roomId, userId) {
    return device.client.getRoom(roomId)?._unstable_getKeyedStickyEvent(userId, MEMBER, "phone");
}

async function takesPart(device, roomId, userId, eventId) {
    const event = await device.until("who takes part", () => need(known(device, roomId, userId), "nobody"));
    assert.equal(event.getId(), eventId);
    assert.ok(event.unstableStickyExpiresAt > Date.now());
}
