// Logging in as Element Web does (OAuth 2.0): the SDK's own helpers, and the server's pages in between.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OAuth2, createClient } from "matrix-js-sdk";

import { logs, step } from "../src/log.js";
import { Browser } from "../src/pages.js";
import { Server } from "../src/server.js";

const REDIRECT = "https://chat.example.org/?no_universal_links=true";
const PASSWORD = "correct horse battery staple";
/** What Element Web registers. */
const APP = {
    client_name: "Element",
    client_uri: "https://chat.example.org/",
    redirect_uris: [REDIRECT],
    logo_uri: "https://chat.example.org/vector-icons/1024.png",
    application_type: "web",
    tos_uri: "https://example.org/terms",
    policy_uri: "https://element.io/cookie-policy",
};

test("Element Web's SDK registers, logs in through the pages, renews, and logs out", { timeout: 120_000 }, async (t) => {
    const server = await Server.start();
    const log = logs("js-oauth");
    const visitor = createClient({ baseUrl: server.url, logger: log.of("visitor") });
    t.after(() => server.stop());
    let clientId;
    /** A client with these tokens, which it renews when it has to. */
    const client = (tokens, deviceId) =>
        createClient({
            baseUrl: server.url,
            userId: "@alice:localhost",
            deviceId,
            accessToken: tokens.access_token,
            refreshToken: tokens.refresh_token,
            oauthClientId: clientId,
            logger: log.of(deviceId),
        });
    const codeOf = (sent, state) => {
        const answer = new URLSearchParams(sent.url.hash.slice(1));
        assert.equal(answer.get("state"), state);
        assert.equal(`${sent.url.origin}${sent.url.pathname}${sent.url.search}`, REDIRECT);
        return answer.get("code");
    };

    step("it finds the authorization server and registers");
    const metadata = await visitor.getAuthMetadata();
    clientId = await OAuth2.registerClient(metadata, APP);
    assert.equal(await OAuth2.registerClient(metadata, APP), clientId, "every installation is the same client");

    step("alice makes her account on the way");
    const browser = new Browser();
    const first = new OAuth2(metadata, { clientId });
    let page = await browser.open(await first.generateAuthorizationCodeGrantUrl("one", REDIRECT, "fragment", "create"));
    assert.match(page.title, /Create an account/);
    page = await browser.submit(page, { user_name: "alice", password: PASSWORD });
    assert.match(page.title, /Continue to Element/);
    const code = codeOf(await browser.submit(page, { decision: "approve" }), "one");
    const tokens = await first.completeAuthorizationCodeGrant(code, REDIRECT);
    const { deviceId } = first.context;
    const phone = client(tokens, deviceId);
    assert.deepEqual(await phone.whoami(), { user_id: "@alice:localhost", device_id: deviceId });

    step("the server is killed; the client goes on, and renews what has ended");
    await server.crash();
    const { room_id: room } = await phone.createRoom({ name: "hers" });
    const renewed = await first.performRefreshTokenGrant(tokens.refresh_token);
    await client(renewed, deviceId).whoami();
    // The older token has ended by that. The SDK does not give up: it renews, and only then asks again.
    const behind = client({ ...renewed, access_token: tokens.access_token }, deviceId);
    await behind.sendTextMessage(room, "still here");

    step("a second login, signed in already");
    const second = new OAuth2(metadata, { clientId });
    page = await browser.open(await second.generateAuthorizationCodeGrantUrl("two", REDIRECT));
    assert.match(page.title, /Continue to Element/);
    const other = codeOf(await browser.submit(page, { decision: "approve" }), "two");
    const laptop = await second.completeAuthorizationCodeGrant(other, REDIRECT);
    const { devices } = await client(laptop, second.context.deviceId).getDevices();
    assert.deepEqual(devices.map((device) => device.device_id).sort(), [deviceId, second.context.deviceId].sort());

    step("a device without a browser");
    const tv = new OAuth2(metadata, { clientId });
    const waiting = await tv.startDeviceAuthorizationGrant();
    page = await browser.open(waiting.verification_uri_complete);
    page = await browser.submit(page, { user_code: waiting.user_code });
    assert.match(page.title, /Connect Element/);
    page = await browser.submit(page, { decision: "approve" });
    assert.match(page.html, /The device is connected/);
    const watching = await tv.waitForDeviceAuthorizationGrant(waiting);
    assert.equal((await client(watching, tv.context.deviceId).whoami()).device_id, tv.context.deviceId);

    step("it logs out, and the device is gone");
    await client(laptop, second.context.deviceId).logout(true);
    const gone = await client(laptop, second.context.deviceId).whoami().catch((error) => error);
    assert.equal(gone.errcode, "M_UNKNOWN_TOKEN");
    const left = await client(watching, tv.context.deviceId).getDevices();
    assert.ok(!left.devices.some((device) => device.device_id === second.context.deviceId));
});
