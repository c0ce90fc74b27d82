// Makes the pictures of the pages under `docs/`: `npm run pictures`, with the server's binary in TEST_MYELIN_BINARY and a
// Chromium in CHROMIUM (default: `chromium`).

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Browser } from "./src/pages.js";
import { Server } from "./src/server.js";

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
const scope = (device) => `urn:matrix:client:api:* urn:matrix:client:device:${device}`;

/** The main pages, by name, in the order in which somebody meets them. */
async function pages(server) {
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
    const authorize = `${server.url}/oauth2/authorize?${request}`;
    const browser = new Browser();
    const signUp = await browser.open(`${authorize}&prompt=create`);
    const consent = await browser.submit(signUp, { user_name: "alice", password: PASSWORD });
    const stranger = new Browser();
    const signIn = await stranger.open(authorize);
    const wrong = await stranger.submit(signIn, { user_name: "alice", password: "guessed" });
    const { user_code } = await post("/oauth2/device", new URLSearchParams({ client_id, scope: scope("TVSETBOXAB") }));
    const code = await browser.open(`${server.url}/link?user_code=${user_code}`);
    const device = await browser.submit(code, { user_code });
    const error = await browser.open(`${authorize}&scope=nonsense`);
    const account = await accountPages(server, browser, consent, client_id);
    return [signIn, wrong, signUp, consent, device, error, ...account];
}

/** What somebody sees of their account who has logged in with the app. */
async function accountPages(server, browser, consent, client_id) {
    const { url } = await browser.submit(consent, { decision: "approve" });
    const form = {
        client_id,
        grant_type: "authorization_code",
        code: url.searchParams.get("code"),
        redirect_uri: APP.redirect_uris[0],
        code_verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    };
    await fetch(`${server.url}/oauth2/token`, { method: "POST", body: new URLSearchParams(form) });
    const actions = ["org.matrix.devices_list", "myelin.password", "myelin.activity"];
    return Promise.all(actions.map((action) => browser.open(`${server.url}/account?action=${action}`)));
}

/** A picture of pages side by side, each as wide as a phone. */
function picture(folder, name, htmls, scheme, [columns, width, height]) {
    const frame = (_, number) => `<iframe src="${number}.html" style="border:0;width:${width}px;height:${height}px"></iframe>`;
    htmls.forEach((html, number) => writeFileSync(join(folder, `${number}.html`), html));
    const sheet = `<meta name="color-scheme" content="light dark"><body style="margin:0;display:grid;gap:2px;background:#888;
        grid-template-columns:repeat(${columns},${width}px)">${htmls.map(frame).join("")}</body>`;
    writeFileSync(join(folder, "sheet.html"), sheet);
    const rows = Math.ceil(htmls.length / columns);
    const size = `${columns * (width + 2) - 2},${rows * (height + 2) - 2}`;
    const preferred = scheme === "dark" ? 0 : 1;
    execFileSync(process.env.CHROMIUM ?? "chromium", [
        ...["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"],
        ...[`--blink-settings=preferredColorScheme=${preferred}`, `--window-size=${size}`],
        ...[`--screenshot=${join(DOCS, name)}`, `file://${join(folder, "sheet.html")}`],
    ]);
}

const server = await Server.start();
const folder = mkdtempSync(join(tmpdir(), "myelin-pictures-"));
try {
    const shown = (await pages(server)).map((page) => page.html);
    const [signIn, , , consent, , , account, password] = shown;
    const main = [signIn, consent, account, password];
    picture(folder, "pages-phone.png", shown, "light", [3, 360, 800]);
    picture(folder, "pages-light.png", main, "light", [2, 640, 840]);
    picture(folder, "pages-dark.png", main, "dark", [2, 640, 840]);
} finally {
    await server.stop();
    rmSync(folder, { recursive: true });
}
