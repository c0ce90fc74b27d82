// nheko and Element Web's SDK: it logs in, sets up encryption, lists rooms, and both chat encrypted over a kill of the server.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Desktop } from "../src/desktop.js";
import { Device, password } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { Nheko } from "../src/nheko.js";
import { Server } from "../src/server.js";
import { inTime, need } from "../src/wait.js";

test("nheko logs in, lists its rooms and chats encrypted with another client", { timeout: 300_000 }, async (t) => {
    const place = { server: await Server.start(), logs: logs("nheko") };
    const { server } = place;
    const desktop = await Desktop.start(place.logs.folder);
    const closing = [];
    t.after(async () => {
        desktop.picture("end");
        for (const device of closing) device.close();
        await desktop.stop();
        await server.stop();
    });

    step("one person registers, and the other logs in with nheko");
    const mia = await Device.register(place, "mia", "phone");
    closing.push(mia);
    await mia.setUpRecovery();
    const visitor = await Device.register(place, "nell", "browser");
    const nell = visitor.userId;
    await inTime("logging out", visitor.client.logout(true));
    const nheko = new Nheko(desktop);
    await nheko.start();
    await nheko.logIn(nell, password("nell"), server.url);
    desktop.picture("logged-in");

    step("nheko sets up cross-signing, secret storage and key backup");
    await nheko.setUpEncryption();

    step("nheko, started again, lists the rooms that it joins");
    await nheko.program.end();
    await nheko.start();
    await nheko.resumes();
    const chatRoom = await makeRoom(mia, { name: "Nheko and me", invite: [nell], encrypted: true });
    const publicRoom = await makeRoom(mia, { name: "The public house", preset: "public_chat" });
    for (const [roomId, name] of [
        [chatRoom, "Nheko and me"],
        [publicRoom, "The public house"],
    ]) {
        await nheko.join(roomId);
        await nheko.lists(name);
    }
    desktop.picture("rooms");

    step("they chat encrypted");
    const chat = await mia.open(chatRoom);
    await mia.until("nheko in the room", () => need(chat.room.getMember(nell)?.membership === "join", "it is not"));
    await chat.say("the quick brown fox");
    await nheko.open(chatRoom);
    await exchange(nheko, chat, nell, "the quick brown fox", "jumps over the lazy dog");
    await nheko.say("hello from nheko");
    assert.ok((await chat.sees("hello from nheko")).isEncrypted(), "nheko wrote in the clear");

    step("they go on after the server was killed");
    await server.crash();
    await chat.say("are you still there?");
    await exchange(nheko, chat, nell, "are you still there?", "I am");
    desktop.picture("chat");

    step("nothing was undecryptable on either side, and nheko's device is signed by its owner");
    await chat.showsAllDecrypted();
    const devices = [...(await mia.crypto.getUserDeviceInfo([nell])).get(nell).keys()];
    assert.equal(devices.length, 1, `nell's devices are ${devices}`);
    await mia.until("nheko's device signed", async () => {
        const status = await mia.crypto.getDeviceVerificationStatus(nell, devices[0]);
        need(status?.signedByOwner, "it is not");
    });
    for (const complaint of ["failed to decrypt", "Undecryptable", "No megolm session"]) {
        assert.ok(!nheko.program.printed.includes(complaint), `nheko's log says: ${complaint}`);
    }
});

/**
 * nheko reads a message and replies to it. The text that a reply quotes shows that nheko could read it.
 */
async function exchange(nheko, chat, nell, text, answer) {
    const { sender, id } = await chat.sees(text).then((event) => ({ sender: event.getSender(), id: event.getId() }));
    await chat.seesRead(text, nell);
    await nheko.reply(answer);
    const reply = await chat.sees(`> <${sender}> ${text}\n\n${answer}`);
    assert.equal(reply.replyEventId, id);
    assert.ok(reply.isEncrypted(), "nheko wrote in the clear");
}

/** Makes a room of a version that this nheko knows: since 11 the creator no longer stands in the room's creation. */
async function makeRoom(device, { name, preset = "trusted_private_chat", invite = [], encrypted = false }) {
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
    const initial_state = encrypted ? [encryption] : [];
    const request = device.client.createRoom({ name, preset, invite, initial_state, room_version: "10" });
    return (await inTime("making a room", request)).room_id;
}
