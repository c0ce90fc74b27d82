// The pages of an operator who made them their own, and who has terms that people accept: in Chromium, for everybody.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { isAccessible } from "../src/accessible.js";
import { isWalkable } from "../src/keyboard.js";
import { step } from "../src/log.js";
import { Person } from "../src/person.js";
import { Server } from "../src/server.js";

const PASSWORD = "correct horse battery staple";
/** 90 by 30, with a style of its own. */
const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><style>rect{fill:#7a1fa2}</style>
<rect width="90" height="30"/></svg>`;

let [server, site, file] = [];

before(async () => {
    server = await Server.start((url) => {
        site = url.replace("127.0.0.1", "localhost");
        return `public_url = "${site}"\n`;
    });
    // Its folder is there now.
    file = join(server.folder, "myelin.toml");
    writeFileSync(join(server.folder, "logo.svg"), LOGO);
    writeFileSync(file, `${readFileSync(file, "utf8")}
[branding]
name = "Example Chat"
accent = "#7a1fa2"
logo = "${join(server.folder, "logo.svg")}"
[[branding.links]]
about = "privacy"
url = "https://example.org/privacy"
[[branding.links]]
name = "Ask us"
url = "mailto:help@example.org"
[[terms]]
id = "privacy"
version = "1"
languages.en = { name = "Privacy policy", url = "https://example.org/privacy" }
[[terms]]
id = "rules"
version = "1"
languages.en = { name = "House rules", url = "https://example.org/rules" }
`);
    await server.crash();
});

after(async () => {
    await server?.stop();
});

async function check({ window }, name) {
    await isAccessible(window, name);
    await isWalkable(window, name);
}

test("everybody can use a branded server's pages, and accept its terms", { timeout: 180_000 }, async () => {
    const person = await Person.arrive();
    const { window } = person;
    step("the logo and the colours");
    await person.open(`${site}/oauth2/sign-in`);
    const logo = await window.page.locator("img.logo").evaluate((picture) => [picture.naturalWidth, picture.height, picture.alt]);
    assert.deepEqual(logo, [90, 44, "Example Chat"]);
    const colour = () => window.page.locator("form button").first().evaluate((button) => getComputedStyle(button).backgroundColor);
    await window.page.emulateMedia({ colorScheme: "light" });
    assert.equal(await colour(), "rgb(122, 31, 162)");
    await window.page.emulateMedia({ colorScheme: "dark" });
    assert.notEqual(await colour(), "rgb(122, 31, 162)", "it could not be read there");
    await check(person, "signing in");

    step("the terms at sign-up");
    await person.open(`${site}/oauth2/sign-up`);
    await check(person, "signing up with terms");
    await window.fill({ user_name: "alice", password: PASSWORD });
    await window.page.getByRole("checkbox").focus();
    await window.page.keyboard.press("Space");
    await window.page.keyboard.press("Enter");
    await window.shows("Done");
    await check(person, "signed in");
    await person.open(`${site}/account`);
    await check(person, "the account");

    step("terms that changed");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll('version = "1"', 'version = "2"'));
    await server.crash();
    await person.open(`${site}/account`);
    await window.shows("Before you go on");
    await check(person, "terms that changed");
    await window.click("I accept them");
    await window.shows("Your account");

    step("the logo's own address");
    const [address] = await window.page.locator("img.logo").evaluateAll((logos) => logos.map((logo) => logo.src));
    const answer = await person.open(address);
    assert.equal(answer.headers()["content-type"], "image/svg+xml");
    const blocked = window.complaints.filter((text) => text.includes("Content Security Policy"));
    assert.deepEqual(blocked, [], "its own style is allowed");
    await person.leave();
});
