// Makes the pictures of the pages under `docs/`: `npm run pictures`, with the server's binary in TEST_MYELIN_BINARY and a
// Chromium in CHROMIUM (default: `chromium`). What they show is what Chromium shows of the real server's pages.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Person } from "./src/person.js";
import { Provider } from "./src/provider.js";
import { Server, freePort } from "./src/server.js";

const PASSWORD = "correct horse battery staple";
const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));
const APP = {
    client_name: "Element",
    client_uri: "https://element.io/",
    redirect_uris: ["io.element.app:/callback"],
    application_type: "native",
    tos_uri: "https://element.io/acceptable-use-policy-terms",
    policy_uri: "https://element.io/privacy",
    grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
};
const VIEWS = {
    light: { width: 560, height: 820, colorScheme: "light" },
    dark: { width: 560, height: 820, colorScheme: "dark" },
    phone: { width: 360, height: 820, colorScheme: "light" },
};
/** How many pages stand side by side. */
const COLUMNS = { light: 3, dark: 3, phone: 6 };
/** What is shown of the account on wide screens; on the phone it is everything. */
const MAIN = new Set([
    "sign in", "sign up", "consent", "choose a name", "second step", "a device", "account", "factors", "branded",
]);
const scope = (device) => `urn:matrix:client:api:* urn:matrix:client:device:${device}`;

/** What every server of these pictures has. */
const configuration = (port, more) => (url) => `
server_name = "example.org"
public_url = "${url.replace("127.0.0.1", "localhost")}"
${more}
[[terms]]
id = "terms"
version = "1"
languages.en = { name = "Terms of use", url = "https://example.org/terms" }
[[terms]]
id = "privacy"
version = "1"
languages.en = { name = "Privacy policy", url = "https://example.org/privacy" }
[[oauth.providers]]
id = "example"
name = "Example ID"
issuer = "http://127.0.0.1:${port}"
client_id = "myelin"
client_secret = "a secret / with + signs"
`;

const LOGO = (text) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 168 44"><g fill="none" stroke="#c2410c" stroke-width="5"
stroke-linecap="round"><path d="M8 30a14 14 0 1 1 28 0"/><path d="M15 31a7 7 0 1 1 14 0"/></g><circle cx="22" cy="32" r="3" fill="#c2410c"/>
<text x="48" y="31" font-family="sans-serif" font-size="24" font-weight="700" fill="${text}">Harbour</text></svg>`;

/** Another operator's. */
function branding(folder) {
    for (const [name, text] of [["logo", "#1c211f"], ["dark", "#e8ece9"]]) writeFileSync(join(folder, `${name}.svg`), LOGO(text));
    return `
[branding]
name = "Harbour"
accent = "#b03a0a"
logo = "${join(folder, "logo.svg")}"
logo_dark = "${join(folder, "dark.svg")}"
[[branding.links]]
about = "privacy"
url = "https://example.org/privacy"
[[branding.links]]
about = "imprint"
url = "https://example.org/imprint"
[[branding.links]]
about = "support"
url = "mailto:help@example.org"
`;
}

/** The pages, in the order in which somebody meets them. */
class Album {
    shots = [];

    /** Takes pictures of what the person sees. */
    async take(name, { page }) {
        const pictures = {};
        for (const [view, { width, height, colorScheme }] of Object.entries(VIEWS)) {
            await page.setViewportSize({ width, height });
            await page.emulateMedia({ colorScheme });
            await page.evaluate(() => scrollTo(0, 0));
            pictures[view] = await page.screenshot();
        }
        this.shots.push({ name, pictures });
    }

    /** All that are of a view, in one picture. */
    async bind(view, { page }, folder) {
        const { width, height } = VIEWS[view];
        const shots = this.shots.filter(({ name }) => view === "phone" || MAIN.has(name));
        const columns = COLUMNS[view];
        const images = shots.map(({ pictures }, number) => {
            writeFileSync(join(folder, `${view}-${number}.png`), pictures[view]);
            return `<img src="${view}-${number}.png" width="${width}" height="${height}">`;
        });
        const sheet = join(folder, `${view}.html`);
        writeFileSync(sheet, `<body style="margin:0;display:grid;gap:2px;background:#888;grid-template-columns:repeat(${columns},${width}px)">
            ${images.join("")}</body>`);
        const rows = Math.ceil(shots.length / columns);
        await page.setViewportSize({ width: columns * (width + 2) - 2, height: rows * (height + 2) - 2 });
        await page.goto(`file://${sheet}`);
        await page.screenshot({ path: join(DOCS, `pages-${view}.png`) });
    }
}

/** A client of a server, as which people are asked. */
async function client(server) {
    const site = server.url.replace("127.0.0.1", "localhost");
    const post = async (path, body) => (await fetch(`${server.url}${path}`, { method: "POST", body })).json();
    const { client_id } = await post("/oauth2/registration", JSON.stringify(APP));
    const request = new URLSearchParams({
        client_id,
        redirect_uri: APP.redirect_uris[0],
        response_type: "code",
        scope: scope("KVMTQXHZPL"),
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method: "S256",
    });
    const redeem = (place) => post("/oauth2/token", new URLSearchParams({
        client_id,
        grant_type: "authorization_code",
        code: place.searchParams.get("code"),
        redirect_uri: APP.redirect_uris[0],
        code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }));
    const device = async (id) => (await post("/oauth2/device", new URLSearchParams({ client_id, scope: scope(id) }))).user_code;
    return { site, authorize: `${site}/oauth2/authorize?${request}`, redeem, device };
}

/** Somebody who is new: from signing in to their account. */
async function alice(album, app) {
    const person = await Person.arrive();
    const { window } = person;
    await person.open(app.authorize);
    await album.take("sign in", person);
    await window.fill({ user_name: "alice", password: "guessed" });
    await window.click("Sign in");
    await window.page.locator(".alert:visible").waitFor();
    await album.take("wrong", person);
    await person.open(`${app.authorize}&prompt=create`);
    await album.take("sign up", person);
    await window.fill({ user_name: "alice", password: PASSWORD });
    await window.page.getByRole("checkbox").check();
    await window.click("Create account");
    await window.shows("Continue to");
    await album.take("consent", person);
    await app.redeem(await person.decide());
    await person.open(`${app.site}/link`);
    await window.fill({ user_code: await app.device("TVSETBOXAB") });
    await album.take("a code", person);
    await window.click("Next");
    await window.shows("Connect Element?");
    await album.take("a device", person);
    await window.click("Continue");
    await window.shows("Done");
    return person;
}

/** Her passkey, and what comes of it. */
async function factors(album, app, person) {
    const { window } = person;
    await window.authenticator();
    await person.open(`${app.site}/account?action=myelin.passkey_add`);
    await window.fill({ name: "my phone" });
    await album.take("a passkey", person);
    await window.click("Add a passkey");
    await window.page.locator("ul.codes").waitFor();
    await album.take("codes", person);
    await person.open(`${app.site}/account?action=myelin.totp_add`);
    await album.take("an app", person);
    await person.open(`${app.site}/account?action=myelin.second_step`);
    await album.take("factors", person);
    for (const [name, action] of [["account", "org.matrix.devices_list"], ["password", "myelin.password"], ["activity", "myelin.activity"]]) {
        await person.open(`${app.site}/account?action=${action}`);
        await album.take(name, person);
    }
    await window.withoutOffers();
    await person.open(`${app.site}/oauth2/sign-in`);
    await window.fill({ user_name: "alice", password: PASSWORD });
    await window.click("Sign in");
    await window.shows("One more step");
    await album.take("second step", person);
}

/** Somebody whom a provider sends: the name is taken, and there are terms to accept. */
async function stranger(album, app) {
    const person = await Person.arrive();
    const { window } = person;
    await person.open(`${app.site}/oauth2/sign-in`);
    await window.page.getByText("Continue with Example ID").click();
    await window.fill({ login: "alice", password: "any" });
    await window.page.getByRole("button", { name: "Sign-in" }).click();
    await window.page.getByRole("button", { name: "Continue" }).click();
    await window.shows("Choose your user name");
    await album.take("choose a name", person);
    await window.fill({ user_name: "alice2" });
    await window.click("Create account");
    await window.shows("Before you go on");
    await album.take("terms", person);
    await person.chromium.close();
}

const folder = mkdtempSync(join(tmpdir(), "myelin-pictures-"));
const port = await freePort();
const plain = await Server.start(configuration(port, ""));
const branded = await Server.start(configuration(port, branding(folder)));
const provider = await Provider.start(port, plain.url.replace("127.0.0.1", "localhost"));
try {
    const album = new Album();
    const app = await client(plain);
    const person = await alice(album, app);
    await factors(album, app, person);
    await stranger(album, app);
    await person.open(`${app.authorize}&scope=nonsense`);
    await album.take("error", person);
    await person.open((await client(branded)).authorize);
    await album.take("branded", person);
    for (const view of Object.keys(VIEWS)) await album.bind(view, person, folder);
    await person.chromium.close();
} finally {
    provider.stop();
    await plain.stop();
    await branded.stop();
    rmSync(folder, { recursive: true });
}
