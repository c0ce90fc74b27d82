// Passkeys, an authenticator app and recovery codes in Chromium, on the pages of the real server.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";

import { Window, startChromium } from "../src/chromium.js";
import { step } from "../src/log.js";
import { Server } from "../src/server.js";

const PASSWORD = "correct horse battery staple";

let server;
let chromium;
let site;

before(async () => {
    // Browsers make no passkeys for addresses, and take `localhost` for safe.
    server = await Server.start((url) => `public_url = "${url.replace("127.0.0.1", "localhost")}"\n`);
    site = `http://localhost:${server.port}`;
    chromium = await startChromium();
});

after(async () => {
    await chromium?.close();
    await server?.stop();
});

/** A window in which somebody has just made their account. */
async function newcomer(name) {
    const window = await Window.open(chromium);
    await window.page.goto(`${site}/oauth2/sign-up`);
    await window.fill({ user_name: name, password: PASSWORD });
    await window.click("Create account");
    await window.shows("Done");
    return window;
}

/** Types name and password. */
async function password(window, name) {
    await window.page.goto(`${site}/oauth2/sign-in`);
    await window.fill({ user_name: name, password: PASSWORD });
    await window.click("Sign in");
}

/** Adds a passkey; answers the recovery codes that are shown. */
async function addPasskey(window, name) {
    await window.page.goto(`${site}/account?action=myelin.passkey_add`);
    await window.fill({ name });
    await window.click("Add a passkey");
    await window.page.locator("a", { hasText: "Second step" }).waitFor();
    return window.page.locator("ul.codes code").allTextContents();
}

/** The code of an authenticator app (RFC 6238). */
function appCode(secret, later = 0) {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    const bits = [...secret].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, "0")).join("");
    const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
    const step = Buffer.alloc(8);
    step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
    const mac = createHmac("sha1", key).update(step).digest();
    const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
    return String(number % 1_000_000).padStart(6, "0");
}

test("a passkey is enrolled, signs in alone, is the second factor, is lost, and a recovery code gets in", { timeout: 180_000 }, async () => {
    step("alice adds a passkey");
    const window = await newcomer("alice");
    const authenticator = await window.authenticator();
    const codes = await addPasskey(window, "my laptop");
    assert.equal(codes.length, 10);
    const passkeys = await authenticator.passkeys();
    assert.deepEqual(passkeys.map((passkey) => [passkey.isResidentCredential, passkey.rpId]), [[true, "localhost"]]);
    await window.page.goto(`${site}/account?action=myelin.second_step`);
    assert.match(await window.page.textContent("main"), /my laptop.*not used yet/s);

    step("the laptop has one already, and makes no other");
    await window.page.goto(`${site}/account?action=myelin.passkey_add`);
    await window.click("Add a passkey");
    await window.page.locator("[data-passkey-failed]:visible").waitFor();
    assert.equal((await authenticator.passkeys()).length, 1);

    step("the passkey signs in alone: no name, no password, no second step");
    const alone = await Window.open(chromium);
    await alone.withoutOffers();
    const laptop = await alone.authenticator(passkeys);
    await alone.page.goto(`${site}/oauth2/sign-in`);
    await alone.click("Sign in with a passkey");
    await alone.shows("Done");
    assert.match(await alone.page.textContent("main"), /@alice:localhost/);
    await alone.page.goto(`${site}/account?action=myelin.second_step`);
    assert.match(await alone.page.textContent("main"), /my laptop.*last used on/s);
    const [pressed] = await laptop.passkeys();
    assert.ok(pressed.signCount > passkeys[0].signCount);

    step("it is offered beside the names that the browser fills in");
    const offered = await Window.open(chromium);
    const filled = await offered.authenticator([pressed]);
    await offered.page.goto(`${site}/oauth2/sign-in`);
    await offered.shows("Done");
    const [used] = await filled.passkeys();

    step("the password alone is not enough; the passkey is the second step");
    const second = await Window.open(chromium);
    await password(second, "alice");
    await second.shows("One more step");
    await second.authenticator([used]);
    await second.page.reload();
    await second.click("Use a passkey");
    await second.shows("Done");
    const login = { type: "m.login.password", identifier: { type: "m.id.user", user: "alice" }, password: PASSWORD };
    const legacy = await fetch(`${server.url}/_matrix/client/v3/login`, { method: "POST", body: JSON.stringify(login) });
    assert.deepEqual([legacy.status, (await legacy.json()).errcode], [403, "M_FORBIDDEN"]);

    step("a copy that has counted less is refused");
    const copy = await Window.open(chromium);
    await copy.withoutOffers();
    await copy.authenticator([passkeys[0]]);
    await copy.page.goto(`${site}/oauth2/sign-in`);
    await copy.click("Sign in with a passkey");
    await copy.page.getByText("may have been copied").waitFor();

    step("the laptop is lost, and the server killed: a recovery code gets in, once");
    await laptop.lose();
    await server.crash();
    const lost = await Window.open(chromium);
    await password(lost, "alice");
    await lost.shows("One more step");
    await lost.fill({ code: codes[0].toUpperCase() });
    await lost.click("Sign in");
    await lost.shows("Done");
    await lost.page.goto(`${site}/account?action=myelin.second_step`);
    assert.match(await lost.page.textContent("main"), /You have 9 left/);
    await password(lost, "alice");
    await lost.fill({ code: codes[0] });
    await lost.click("Sign in");
    await lost.page.getByText("was used already").waitFor();
    await lost.fill({ code: codes[1] });
    await lost.click("Sign in");
    await lost.shows("Done");

    step("she removes it; the password is enough again");
    await lost.page.goto(`${site}/account?action=myelin.second_step`);
    await lost.page.getByText("Rename or remove").click();
    await lost.shows("Passkey my laptop");
    await lost.click("Remove");
    await lost.page.getByText("The passkey is removed").waitFor();
    await password(lost, "alice");
    await lost.shows("Done");
    for (const each of [window, alone, offered, second, copy, lost]) await each.close();
});

test("an authenticator app is set up, and its codes sign in; without scripts, too", { timeout: 120_000 }, async () => {
    const window = await newcomer("bob");
    await window.page.goto(`${site}/account?action=myelin.totp_add`);
    assert.ok(await window.page.locator("svg.qr").isVisible());
    const secret = (await window.page.locator("code.secret").textContent()).replaceAll(" ", "");
    await window.fill({ code: appCode(secret) });
    await window.click("Turn on");
    await window.shows("Recovery codes");
    await window.close();

    const plain = await Window.open(chromium, { javaScriptEnabled: false });
    await plain.page.goto(`${site}/oauth2/sign-in`);
    assert.equal(await plain.page.getByText("Sign in with a passkey").isVisible(), false);
    await password(plain, "bob");
    await plain.shows("One more step");
    // The next one: the step at which it was set up is used.
    await plain.fill({ code: appCode(secret, 1) });
    await plain.click("Sign in");
    await plain.shows("Done");
    await plain.close();
});
