// Logging in as Element Web does (OAuth 2.0): the SDK's own helpers, and a person in Chromium on the server's pages in between.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AuthType, InteractiveAuth, OAuth2, createClient } from "matrix-js-sdk";
import { TokenRefresher } from "matrix-js-sdk/lib/oauth/tokenRefresher.js";

import { Device } from "../src/device.js";
import { logs, step } from "../src/log.js";
import { Person } from "../src/person.js";
import { Server } from "../src/server.js";
import { inTime } from "../src/wait.js";

const REDIRECT = "https://chat.example.org/?no_universal_links=true";
const ALICE = { name: "alice", password: "correct horse battery staple" };
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

for (const withoutScripts of [false, true]) {
    const name = withoutScripts ? "without scripts" : "with scripts";
    test(`Element Web's SDK registers, logs in through the pages, renews, resets, and logs out, in a browser ${name}`, { timeout: 180_000 }, (t) =>
        everything(t, withoutScripts),
    );
}

async function everything(t, withoutScripts) {
    const server = await Server.start();
    const log = logs(withoutScripts ? "js-oauth-plain" : "js-oauth");
    const visitor = createClient({ baseUrl: server.url, logger: log.of("visitor") });
    const person = await Person.arrive({ withoutScripts });
    t.after(async () => {
        await person.leave();
        await server.stop();
    });
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
    const devicesOf = async (client) => (await client.getDevices()).devices.map((device) => device.device_id).sort();

    step("it finds the authorization server and registers");
    const metadata = await visitor.getAuthMetadata();
    clientId = await OAuth2.registerClient(metadata, APP);
    assert.equal(await OAuth2.registerClient(metadata, APP), clientId, "every installation is the same client");

    step("alice makes her account on the way; the answer comes in the fragment");
    const first = new OAuth2(metadata, { clientId });
    const toFirst = await first.generateAuthorizationCodeGrantUrl("one", REDIRECT, "fragment", "create");
    let sent = await person.logIn(toFirst, { create: ALICE });
    assert.equal(`${sent.origin}${sent.pathname}${sent.search}`, REDIRECT);
    const tokens = await first.completeAuthorizationCodeGrant(codeOf(new URLSearchParams(sent.hash.slice(1)), "one"), REDIRECT);
    const { deviceId } = first.context;
    const phone = client(tokens, deviceId);
    assert.deepEqual(await phone.whoami(), { user_id: "@alice:localhost", device_id: deviceId });

    step("the server is killed; the client goes on, and renews what has ended");
    await server.crash();
    const { room_id: room } = await phone.createRoom({ name: "hers" });
    const kept = [];
    const refresher = new TokenRefresher(first, (tokens) => kept.push(tokens));
    const renewed = await refresher.refreshTokens(tokens.refresh_token);
    assert.deepEqual(kept, [renewed]);
    assert.notEqual(renewed.refreshToken, tokens.refresh_token);
    const now = { access_token: renewed.accessToken, refresh_token: renewed.refreshToken };
    await client(now, deviceId).whoami();
    // The older token has ended by that. The SDK does not give up: it renews, and only then asks again.
    const behind = client({ ...now, access_token: tokens.access_token }, deviceId);
    await behind.sendTextMessage(room, "still here");

    step("a second login, signed in already; the answer comes in the query");
    const second = new OAuth2(metadata, { clientId });
    sent = await person.logIn(await second.generateAuthorizationCodeGrantUrl("two", REDIRECT, "query"));
    assert.deepEqual([sent.origin, sent.searchParams.get("no_universal_links"), sent.hash], [new URL(REDIRECT).origin, "true", ""]);
    const laptop = await second.completeAuthorizationCodeGrant(codeOf(sent.searchParams, "two"), REDIRECT);
    const { deviceId: laptopId } = second.context;
    assert.deepEqual(await devicesOf(client(laptop, laptopId)), [deviceId, laptopId].sort());

    step("another person's browser: she signs in; and says no first");
    const elsewhere = await Person.arrive({ withoutScripts });
    const refused = new OAuth2(metadata, { clientId });
    await elsewhere.open(await refused.generateAuthorizationCodeGrantUrl("no", REDIRECT, "query"));
    await elsewhere.signIn(ALICE.name, ALICE.password);
    sent = await elsewhere.decide(false);
    assert.deepEqual([sent.searchParams.get("error"), sent.searchParams.get("code")], ["access_denied", null]);
    await elsewhere.leave();

    step("devices without a browser: one shows its code, one an address with the code in it");
    const shows = async (way) => {
        const device = new OAuth2(metadata, { clientId });
        const waiting = await device.startDeviceAuthorizationGrant();
        await way(waiting);
        const tokens = await device.waitForDeviceAuthorizationGrant(waiting);
        const connected = client(tokens, device.context.deviceId);
        assert.equal((await connected.whoami()).device_id, device.context.deviceId);
        return connected;
    };
    const tv = await shows((waiting) => person.connect(waiting.verification_uri, waiting.user_code.toLowerCase()));
    const tablet = await shows((waiting) => person.connect(waiting.verification_uri_complete));

    step("the keys that the tv has made are replaced from the laptop, by what alice says on the page");
    const place = { server, logs: log };
    const adopt = (name, tokens, device_id) =>
        Device.adopt(place, "alice", name, { user_id: "@alice:localhost", device_id, ...tokens }, clientId);
    const lost = await adopt("tv", { access_token: tv.getAccessToken(), refresh_token: tv.getRefreshToken() }, tv.getDeviceId());
    // The first keys need no question.
    const unasked = { authUploadDeviceSigningKeys: (request) => request(null) };
    await inTime("the first keys", lost.crypto.bootstrapCrossSigning(unasked));
    await lost.isCrossSigned();
    lost.close();
    const device = await adopt("laptop", laptop, laptopId);
    t.after(() => device.close());
    await device.hasSettled();
    const keys = async () => (await device.client.downloadKeysForUsers(["@alice:localhost"])).master_keys["@alice:localhost"];
    const before = await keys();
    let asked = 0;
    await inTime("the reset", device.crypto.bootstrapCrossSigning({
        setupNewCrossSigning: true,
        authUploadDeviceSigningKeys: (request) =>
            answered(device.client, request, async (url) => {
                asked += 1;
                assert.equal(`${url.origin}${url.pathname}`, metadata.account_management_uri);
                assert.equal(url.searchParams.get("action"), "org.matrix.cross_signing_reset");
                await person.allowReset(url);
            }),
    }));
    assert.equal(asked, 1);
    assert.notDeepEqual(await keys(), before);
    await device.isCrossSigned();

    step("she leaves by each of the ways, and the devices are gone");
    await tablet.logout(true);
    await first.revokeToken(behind.getRefreshToken(), "refresh_token");
    for (const gone of [tablet, behind, phone]) {
        const error = await gone.whoami().catch((error) => error);
        assert.equal(error.errcode, "M_UNKNOWN_TOKEN");
    }
    assert.deepEqual(await devicesOf(tv), [laptopId, tv.getDeviceId()].sort());
    const ended = await refresher.refreshTokens(renewed.refreshToken).catch((error) => error);
    assert.equal(ended.name, "TokenRefreshLogoutError", `${ended}`);
}

/** The code in a client's answer. */
function codeOf(answer, state) {
    assert.equal(answer.get("state"), state);
    assert.ok(answer.get("iss"));
    return answer.get("code");
}

/** What Element Web does where a request needs the account's owner: shows them the page, and asks again. */
async function answered(client, request, show) {
    const refusal = await request(null).catch((error) => error);
    assert.ok(refusal.data?.flows, `nothing was asked for: ${refusal}`);
    const auth = new InteractiveAuth({
        matrixClient: client,
        authData: refusal.data,
        doRequest: request,
        supportedStages: [AuthType.OAuth],
        requestEmailToken: () => assert.fail("no mail"),
        stateUpdated: async (stage) => {
            assert.equal(stage, AuthType.OAuth);
            await show(new URL(auth.getStageParams(stage).url));
            await auth.submitAuthDict({ type: AuthType.OAuth, session: refusal.data.session });
        },
    });
    return auth.attemptAuth();
}
