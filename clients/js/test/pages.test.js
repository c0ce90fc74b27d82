// Every page in Chromium: whether everybody can use it, as axe-core judges that, and what people do on their account pages
// in a browser without scripts.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { isAccessible } from "../src/accessible.js";
import { isWalkable } from "../src/keyboard.js";
import { step } from "../src/log.js";
import { MailServer } from "../src/mail.js";
import { Person } from "../src/person.js";
import { Provider } from "../src/provider.js";
import { Server, freePort } from "../src/server.js";
import { inTime, need, until } from "../src/wait.js";

const PASSWORD = "correct horse battery staple";
const APP = {
    client_name: "Element",
    client_uri: "https://chat.example.org/",
    redirect_uris: ["https://chat.example.org/"],
    application_type: "web",
    tos_uri: "https://chat.example.org/terms",
    policy_uri: "https://chat.example.org/privacy",
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
};
/** Four pixels. */
const PNG = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAD0lEQVR42mNgAAJGMAEEAAAhAAbbpT5yAAAAAElFTkSuQmCC",
    "base64",
);
const scope = (device) => `urn:matrix:client:api:* urn:matrix:client:device:${device}`;

let [server, site, mail, provider, clientId] = [];

before(async () => {
    mail = await MailServer.start();
    const port = await freePort();
    server = await Server.start((url) => {
        site = url.replace("127.0.0.1", "localhost");
        return `
public_url = "${site}"
[email]
smtp_url = "smtp://127.0.0.1:${mail.port}"
from = "Example <noreply@localhost>"
[[oauth.providers]]
id = "example"
name = "Example ID"
issuer = "http://127.0.0.1:${port}"
client_id = "myelin"
client_secret = "a secret / with + signs"
`;
    });
    provider = await Provider.start(port, site);
    clientId = (await post("/oauth2/registration", JSON.stringify(APP))).client_id;
});

after(async () => {
    provider?.stop();
    mail?.stop();
    await server?.stop();
});

async function post(path, body) {
    return (await fetch(`${server.url}${path}`, { method: "POST", body })).json();
}

function authorize(more = {}) {
    const request = {
        client_id: clientId,
        redirect_uri: APP.redirect_uris[0],
        response_type: "code",
        scope: scope("KVMTQXHZPL"),
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method: "S256",
        ...more,
    };
    return `${site}/oauth2/authorize?${new URLSearchParams(request)}`;
}

const account = (action, more = {}) => `${site}/account?${new URLSearchParams({ action, ...more })}`;

/** Lets the app in whose address is open. */
async function letIn(person, device) {
    const sent = await person.logIn(authorize({ scope: scope(device) }));
    const form = {
        client_id: clientId,
        grant_type: "authorization_code",
        code: sent.searchParams.get("code") ?? new URLSearchParams(sent.hash.slice(1)).get("code"),
        redirect_uri: APP.redirect_uris[0],
        code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    };
    assert.ok((await post("/oauth2/token", new URLSearchParams(form))).access_token);
}

/** What a screen reader says of where the focus is: its label, and what describes it; or its text. */
function heard({ page }) {
    return page.evaluate(() => {
        const element = document.activeElement;
        const ids = (element.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean);
        const said = [...(element.labels ?? []), ...ids.map((id) => document.getElementById(id))].map((part) => part.textContent);
        return said.length ? said.join(" ") : element.textContent;
    });
}

/** Chooses a picture on the profile's page. */
async function choose(window, buffer) {
    await window.page.locator("input[type=file]").setInputFiles({ name: "me.png", mimeType: "image/png", buffer });
    await window.click("Show this picture");
}

/** The link in the next mail to this address that has one. */
async function link(address) {
    for (;;) {
        const text = await inTime("a mail", mail.next());
        const found = text.includes(`To: ${address}`) && text.match(/http:\/\/\S+submit_token\S+/);
        if (found) return found[0];
    }
}

/** Opens the link in the mail to this address and confirms. */
async function confirm(person, address, check = () => {}) {
    const tab = person.page;
    await person.window.anew(true);
    await person.open(await link(address));
    await check("confirming an address");
    await person.page.getByRole("button").click();
    // A tab that closes while it loads may never do so.
    await person.page.waitForLoadState();
    await check("an address is confirmed");
    await person.window.back(tab);
}

test("everybody can use every page, in light and dark, on a phone and a desk", { timeout: 600_000 }, async () => {
    const person = await Person.arrive();
    await person.window.withoutOffers();
    const { window } = person;
    const check = async (name) => {
        await isAccessible(window, name);
        await isWalkable(window, name);
    };
    const shows = async (name, url, heading) => {
        await person.open(url);
        await window.shows(heading);
        await check(name);
    };

    step("coming in");
    await shows("signing in", authorize(), "Sign in");
    await window.fill({ user_name: "alice", password: "a guess" });
    await window.click("Sign in");
    await window.page.locator(".alert:visible").waitFor();
    assert.match(await heard(window), /^Password.*is wrong/s, "what is heard where the page opens");
    await check("a wrong password");
    await shows("a new password", `${site}/oauth2/forgot`, "A new password");
    await window.fill({ email: "nobody@example.org" });
    await window.click("Next");
    await window.page.locator("input[name=password]").waitFor();
    await check("a mail for a new password");
    await shows("no such client", authorize({ client_id: "nobody" }), "This did not work");
    await shows("an impossible wish", authorize({ scope: "nonsense" }), "This did not work");
    await shows("signing up", authorize({ prompt: "create" }), "Create an account");
    await window.fill({ user_name: "alice", password: "password" });
    await window.click("Create account");
    await window.page.locator(".alert:visible").waitFor();
    assert.match(await heard(window), /^This password is easily guessed/);
    await check("an easy password");
    await window.fill({ user_name: "alice", password: PASSWORD });
    await window.click("Create account");
    await window.shows("Continue to");
    await check("letting a client in");
    await letIn(person, "PHONE");
    await letIn(person, "LAPTOP");
    await shows("signed in", `${site}/oauth2/done`, "Done");
    const legacy = `${server.url.replace("127.0.0.1", "localhost")}/_matrix/client/v3/login/sso/redirect?redirectUrl=https://old.example.org/`;
    await shows("letting an older client in", legacy, "Continue to");

    step("a device");
    const { user_code } = await post("/oauth2/device", new URLSearchParams({ client_id: clientId, scope: scope("TVSETBOXAB") }));
    await shows("a device's code", `${site}/link`, "Connect a device");
    await window.fill({ user_code: "BCDF-GHJK" });
    await window.click("Next");
    await window.page.locator(".alert:visible").waitFor();
    await check("an unknown code");
    await window.fill({ user_code });
    await window.click("Next");
    await window.shows("Connect Element?");
    await check("connecting a device");
    await window.click("Continue");
    await window.shows("Done");
    await check("a device is connected");

    step("the account");
    await shows("the account", `${site}/account`, "Your account");
    for (const [action, heading] of [
        ["org.matrix.profile", "Your profile"],
        ["myelin.password", "Change your password"],
        ["myelin.emails", "Your e-mail addresses"],
        ["myelin.browsers", "Your browsers"],
        ["myelin.activity", "Recent activity"],
        ["myelin.export", "Your data"],
        ["myelin.second_step", "Second step"],
        ["org.myelin.providers", "Connected providers"],
        ["org.matrix.cross_signing_reset", "Reset your digital identity?"],
        ["org.matrix.account_deactivate", "Deactivate your account?"],
    ]) {
        await shows(action, account(action), heading);
    }
    const device = { device_id: "PHONE" };
    await shows("a device", account("org.matrix.device_view", device), "Element");
    await shows("ending a device", account("org.matrix.device_delete", device), "Sign out");
    await shows("a device that is not there", account("org.matrix.device_view", { device_id: "GONE" }), "Your account");
    await shows("resetting", account("org.matrix.cross_signing_reset", device), "Reset your digital identity?");
    await window.click("Allow the reset");
    await window.shows("Done");
    await check("a reset is allowed");
    await person.open(account("org.matrix.profile"));
    await window.fill({ display_name: "Alice" });
    await window.click("Save");
    await window.page.locator(".note").waitFor();
    await check("a saved name");
    await choose(window, PNG);
    await window.page.locator("img.avatar").waitFor();
    await check("a picture");
    await person.open(account("myelin.emails"));
    await window.fill({ email: "alice@example.org" });
    await window.click("Add the address");
    await window.page.getByRole("button", { name: "I have confirmed it" }).waitFor();
    await check("an address that waits");
    await confirm(person, "alice@example.org", check);
    await window.click("I have confirmed it");
    await window.page.locator(".note").waitFor();
    await check("an address");

    step("factors");
    await window.authenticator();
    await shows("adding a passkey", account("myelin.passkey_add"), "Add a passkey");
    await window.fill({ name: "my laptop" });
    await window.click("Add a passkey");
    await window.page.locator("ul.codes").waitFor();
    await check("recovery codes");
    await shows("factors", account("myelin.second_step"), "Second step");
    await window.page.getByText("Rename or remove").click();
    await window.shows("Passkey my laptop");
    await check("a passkey");
    await shows("an authenticator app", account("myelin.totp_add"), "Set up an authenticator app");
    await shows("new recovery codes", account("myelin.recovery_codes"), "Make new recovery codes?");
    await person.open(`${site}/oauth2/sign-in`);
    await window.fill({ user_name: "alice", password: PASSWORD });
    await window.click("Sign in");
    await window.shows("One more step");
    await check("the second step");
    await person.leave();

    step("a provider");
    const there = await Person.arrive();
    const comes = async (name) => {
        await there.window.fill({ login: name, password: "any" });
        await there.page.getByRole("button", { name: "Sign-in" }).click();
        await there.page.getByRole("button", { name: "Continue" }).click();
    };
    await there.open(`${site}/oauth2/sign-in`);
    await there.page.getByText("Continue with Example ID").click();
    await comes("alice");
    await there.window.shows("Choose your user name");
    await isAccessible(there.window, "choosing a name");
    await there.window.fill({ user_name: "alice2" });
    await there.window.click("Create account");
    await there.window.shows("Done");
    await there.open(account("org.myelin.providers"));
    await isAccessible(there.window, "a connected provider");
    // What the provider's own pages complain of is not ours.
    there.window.complaints = [];
    await there.leave();
});

test("stages that an app does not know are passed on pages, which tell the app", { timeout: 180_000 }, async () => {
    const other = await Server.start(
        () => `
[email]
smtp_url = "smtp://127.0.0.1:${mail.port}"
from = "Example <noreply@localhost>"
required_to_register = true
[[terms]]
id = "rules"
version = "1"
languages.en = { name = "House rules", url = "https://example.org/rules" }
`,
    );
    const person = await Person.arrive();
    const { window } = person;
    const check = (name) => isAccessible(window, name);
    const told = () => window.page.evaluate(() => globalThis.wasTold);
    // As an app's embedded browser does.
    await window.page.addInitScript(() => {
        globalThis.onAuthDone = () => (globalThis.wasTold = true);
    });
    const register = async (auth) => {
        const body = JSON.stringify({ username: "carol", password: PASSWORD, auth });
        return (await fetch(`${other.url}/_matrix/client/v3/register`, { method: "POST", body })).json();
    };
    const { session } = await register();
    const open = (stage) => person.open(`${other.url}/_matrix/client/v3/auth/${stage}/fallback/web?session=${session}`);

    step("an address");
    await open("m.login.email.identity");
    await window.shows("Your app asks");
    await check("the address of a stage");
    await window.fill({ email: "carol@example.org" });
    await window.click("Go on");
    await window.click("I have confirmed it");
    await window.page.locator(".alert").waitFor();
    await check("an address that is not confirmed yet");
    assert.equal(await told(), undefined);
    await confirm(person, "carol@example.org");
    await window.click("I have confirmed it");
    await window.shows("Done");
    assert.equal(await told(), true);

    step("the terms");
    await open("m.login.terms");
    await check("the terms of a stage");
    await window.click("I accept them");
    await window.shows("Done");
    await check("a stage is passed");
    assert.equal(await told(), true);
    assert.equal((await register({ session })).user_id, "@carol:localhost");
    await open("m.login.terms");
    await check("a stage that nothing waits for");
    await person.leave();
    await other.stop();
});

test("in a browser without scripts people do everything with their accounts that needs no passkey", { timeout: 180_000 }, async () => {
    const person = await Person.arrive({ withoutScripts: true });
    const { window } = person;
    const says = (text) => window.page.getByText(text).first().waitFor();
    await person.open(`${site}/oauth2/sign-up`);
    await person.signUp("bob", PASSWORD);
    await window.shows("Done");
    await letIn(person, "OLDPHONE");
    await letIn(person, "NEWPHONE");

    step("his name");
    await person.open(account("org.matrix.profile"));
    await window.fill({ display_name: "Bob the <b>bold</b>" });
    await window.click("Save");
    await says("Your name is saved.");
    const profile = await (await fetch(`${server.url}/_matrix/client/v3/profile/@bob:localhost/displayname`)).json();
    assert.deepEqual(profile, { displayname: "Bob the <b>bold</b>" });

    step("his picture");
    await choose(window, Buffer.concat([PNG, Buffer.alloc(11 << 20)]));
    await says("This picture is too large.");
    await choose(window, PNG);
    await says("Your picture is saved.");
    await until("the picture", [], async () => {
        const width = await window.page.locator("img.avatar").evaluate((picture) => picture.naturalWidth);
        need(width === 2, `it is ${width} wide`);
    });
    await window.click("Remove the picture");
    await says("Your picture is removed.");

    step("his devices");
    await person.open(account("org.matrix.device_view", { device_id: "NEWPHONE" }));
    await window.fill({ display_name: "Phone of today" });
    await window.click("Rename");
    await says("The device is renamed.");
    await person.open(account("org.matrix.device_delete", { device_id: "OLDPHONE" }));
    await window.page.locator("button.grave").click();
    await says("The device is signed out.");
    await person.open(`${site}/account`);
    const shown = await window.page.textContent("main");
    assert.ok(shown.includes("Phone of today") && !shown.includes("OLDPHONE"), shown);

    step("an address, and a password that he forgot");
    await person.open(account("myelin.emails"));
    await window.fill({ email: "bob@example.org" });
    await window.click("Add the address");
    await confirm(person, "bob@example.org");
    await window.click("I have confirmed it");
    await says("The address is added.");
    const other = await Person.arrive({ withoutScripts: true });
    await other.open(`${site}/oauth2/sign-in`);
    await other.page.getByText("Forgot your password?").click();
    await other.window.fill({ email: "bob@example.org" });
    await other.window.click("Next");
    await other.page.locator("input[name=password]").waitFor();
    await confirm(other, "bob@example.org");
    await other.window.fill({ password: "another horse battery staple" });
    await other.window.click("Set the new password");
    await other.window.shows("Done");
    await other.open(`${site}/oauth2/sign-in`);
    await other.signIn("bob@example.org", "another horse battery staple");
    await other.window.shows("Done");
    await other.leave();

    step("a new password signed this browser out; he downloads his data, and leaves for good");
    await person.open(`${site}/account`);
    await person.signIn("bob", "another horse battery staple");
    await person.open(account("myelin.export"));
    const downloading = window.page.waitForEvent("download");
    await window.click("Download");
    assert.match((await downloading).suggestedFilename(), /\.json$/);
    await person.open(account("org.matrix.account_deactivate"));
    await window.page.getByLabel("Hide what I have sent").check();
    await window.click("Deactivate for good");
    await says("Your account is deactivated.");
    await person.open(`${site}/account`);
    await person.window.shows("Sign in");
    await person.leave();
});
