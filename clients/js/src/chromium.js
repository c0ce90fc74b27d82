// A person's browser with scripts: Chromium, with an authenticator in the test's hands (the protocol's WebAuthn domain).

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

import { chromium } from "playwright-core";

/** How long a page may take, in milliseconds. */
const SOON = 20_000;

/** Starts it; end it with `close`. */
export function startChromium() {
    const command = process.env.CHROMIUM ?? "chromium";
    const executablePath = execFileSync("sh", ["-c", 'command -v "$0"', command], { encoding: "utf8" }).trim();
    // The tests run as root in containers, where its sandbox can't be made.
    return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** A window in which nobody is signed in. What its pages complain of is kept. */
export class Window {
    complaints = [];

    static async open(browser, options = {}) {
        const window = new Window();
        window.context = await browser.newContext({ locale: "en", ...options });
        window.context.setDefaultTimeout(SOON);
        await window.anew();
        return window;
    }

    /** Closes its tab and opens another one; or leaves it open, until `back`. */
    async anew(keep = false) {
        const [before, page] = [this.page, await this.context.newPage()];
        const note = (text) => this.complaints.push(text);
        page.on("pageerror", (error) => note(`${error}`));
        page.on("console", (message) => message.type() === "error" && note(message.text()));
        this.page = page;
        if (!keep) await before?.close();
    }

    /** Closes its tab and goes on in another one. */
    async back(page) {
        await this.page.close();
        this.page = page;
    }

    /** Gives it an authenticator that unlocks for its person. */
    async authenticator(passkeys = []) {
        const protocol = await this.context.newCDPSession(this.page);
        await protocol.send("WebAuthn.enable", { enableUI: false });
        const { authenticatorId } = await protocol.send("WebAuthn.addVirtualAuthenticator", {
            options: {
                protocol: "ctap2",
                ctap2Version: "ctap2_1",
                transport: "internal",
                hasResidentKey: true,
                hasUserVerification: true,
                isUserVerified: true,
                automaticPresenceSimulation: true,
            },
        });
        const send = (method, more = {}) => protocol.send(`WebAuthn.${method}`, { authenticatorId, ...more });
        for (const credential of passkeys) await send("addCredential", { credential });
        return {
            passkeys: async () => (await send("getCredentials")).credentials,
            lose: () => send("removeVirtualAuthenticator"),
        };
    }

    /** From now on it is a browser that offers no passkeys beside names, so that its person presses the button. */
    async withoutOffers() {
        await this.page.addInitScript(() => delete globalThis.PublicKeyCredential?.isConditionalMediationAvailable);
    }

    /** Waits for a page with this heading. */
    async shows(heading) {
        await this.page.locator("h1", { hasText: heading }).waitFor();
    }

    async fill(fields) {
        for (const [name, value] of Object.entries(fields)) await this.page.locator(`input[name=${name}]`).fill(value);
    }

    click(button) {
        return this.page.getByRole("button", { name: button, exact: true }).click();
    }

    /** Ends it; its pages had nothing to complain of but refusals. */
    async close() {
        const refusals = /status of (400|403|404|413)/;
        assert.deepEqual(this.complaints.filter((text) => !refusals.test(text)), []);
        await this.context.close();
    }
}
